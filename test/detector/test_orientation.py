"""Fitted boxes have the yaw of their objects, whatever stands below and next to them; round objects do not turn."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.detector.orientation import fit_orientations
from dspdet3d_ros.detector.result import Detections, DetectionStats
from dspdet3d_ros.geometry import hulls, rotate
from dspdet3d_ros.learning.datasets.extents import plan_extents
from dspdet3d_ros.learning.evaluation.turned_iou import turned_iou, turned_truth

STATS = DetectionStats(0.0, 0, 0, 0, (), {}, 0.0, "cpu", "torch")
PLACE = np.array([1.0, -2.0, 0.75])


def bar(yaw, size=(0.3, 0.08, 0.05), count=1500, seed=0):
    """Points on a bar on a table at z = 0.75, and its turned box."""
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (count, 3)) * size
    centre = PLACE + [0, 0, size[2] / 2]
    return points @ rotate("z", yaw).T + centre, np.array([*centre, *size, yaw])


def table(noise=0.003, seed=1):
    rng = np.random.default_rng(seed)
    plane = rng.uniform((-0.6, -0.6, 0), (0.6, 0.6, 0), (20_000, 3)) + PLACE
    return plane + rng.normal(0, noise, plane.shape) * [0, 0, 1]


def fitted(points, boxes):
    count = len(boxes)
    found = Detections(np.asarray(boxes), np.ones(count, np.float32), np.zeros(count, np.int64), ("a",), STATS)
    return fit_orientations(PointCloud.of(points), found)


@pytest.mark.parametrize("yaw", [-0.7, -0.4, 0.3, 0.6])
@pytest.mark.parametrize("height", [0.02, 0.05, 0.2])
def test_a_bar_on_a_table_has_its_own_yaw_and_size(yaw, height):
    points, truth = bar(yaw, (0.3, 0.08, height))
    (box,) = fitted(np.concatenate([table(), points]), hulls(truth[None])).turned
    assert turned_iou(truth, box) > 0.85
    assert turned_iou(truth, np.append(hulls(truth[None])[0], 0)) < 0.6
    assert box[6] == pytest.approx(yaw, abs=0.05)


def test_far_from_the_origin_and_next_to_another_object_it_is_the_same():
    points, truth = bar(0.5)
    other = np.random.default_rng(5).uniform((0.05, -0.14, 0), (0.12, -0.08, 0.1), (500, 3)) + PLACE
    cloud, hull = np.concatenate([table(), points, other]), hulls(truth[None])
    (near,) = fitted(cloud, hull).turned
    assert near[6] == pytest.approx(0.5, abs=0.06)
    shift = np.array([5e5, 5e6, 100.0])
    (far,) = fitted(cloud + shift, hull + [*shift, 0, 0, 0]).turned
    np.testing.assert_allclose(far - [*shift, 0, 0, 0, 0], near, atol=1e-6)


def test_round_straight_and_empty_objects_keep_their_boxes():
    rng = np.random.default_rng(0)
    angle, radius = rng.uniform(0, 2 * np.pi, 2000), 0.05 * np.sqrt(rng.uniform(0, 1, 2000))
    cup = np.stack([radius * np.cos(angle), radius * np.sin(angle), rng.uniform(0, 0.1, 2000)], 1) + PLACE
    straight, truth = bar(0.0)
    boxes = [[*PLACE + [0, 0, 0.05], 0.1, 0.1, 0.1], hulls(truth[None])[0] + [2, 0, 0, 0, 0, 0], [9, 9, 9, 1, 1, 1]]
    found = fitted(np.concatenate([table(), cup, straight + [2, 0, 0]]), boxes)
    np.testing.assert_array_equal(found.turned[:, :6], found.boxes)
    np.testing.assert_array_equal(found.turned[:, 6], 0)
    assert found.select(np.array([2, 0])).turned.tolist() == found.turned[[2, 0]].tolist()
    nothing = fitted(np.empty((0, 3)), np.empty((0, 6)))
    assert nothing.turned.shape == nothing.shown.shape == (0, 7)


def test_without_fitting_boxes_are_shown_as_they_are():
    points, truth = bar(0.5)
    found = fitted(points, hulls(truth[None]))
    np.testing.assert_array_equal(replace(found, turned=None).shown, [[*found.boxes[0], 0]])
    np.testing.assert_array_equal(found.shown, found.turned)


def test_the_overlap_of_turned_boxes():
    box = np.array([1.0, 2, 3, 2, 1, 1, 0.4])
    assert turned_iou(box, box) == pytest.approx(1)
    # The same box, described with the other yaw.
    assert turned_iou(box, np.array([1, 2, 3, 1, 2, 1, 0.4 + math.pi / 2])) == pytest.approx(1)
    square = np.array([0, 0, 0, 2, 2, 1, 0.0])
    # A square and itself by 45 degrees share a regular octagon.
    shared = 8 * (math.sqrt(2) - 1)
    assert turned_iou(square, np.array([0, 0, 0, 2, 2, 1, math.pi / 4])) == pytest.approx(shared / (8 - shared))
    assert turned_iou(square, np.array([0, 0, 0.5, 2, 2, 1, 0.0])) == pytest.approx(1 / 3)
    assert turned_iou(square, np.array([3.0, 0, 0, 2, 2, 1, 0.3])) == 0
    assert turned_iou(square, np.array([0, 0, 1.0, 2, 2, 1, 0])) == 0


def test_the_turned_truth_follows_from_extents():
    points, truth = bar(0.35, count=20_000)
    extents = plan_extents(points, 0.0)[None]
    (box,) = turned_truth(hulls(truth[None]), extents)
    # Extents are known in 32 directions only.
    assert turned_iou(box, truth) > 0.8
