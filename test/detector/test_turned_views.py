"""Views: the cloud turned, boxes turned back, and candidates of several views fused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from random_cloud import cloud

from dspdet3d_ros.defaults import MAX_VIEWS
from dspdet3d_ros.detector.best_cells import best_of_views
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.fused_boxes import fused
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.turned_views import View

SIZE = 0.01
VIEWS = [View.numbered(number) for number in range(MAX_VIEWS)]


def viewed(detector, points, number):
    return detector(points, replace(detector.default_settings(), views=number))


@pytest.mark.parametrize("view", VIEWS)
def test_a_box_around_points_in_a_view_is_back_around_them(view):
    points = torch.from_numpy(np.random.default_rng(0).uniform((1, 2, 0), (1.3, 2.1, 0.2), (100, 3)))
    seen = view.points(points, SIZE)
    low, high = seen.amin(0), seen.amax(0)
    (box,) = view.boxes_back(torch.cat([(low + high) / 2, high - low])[None], SIZE)
    torch.testing.assert_close(box[:3] - box[3:] / 2, points.amin(0))
    torch.testing.assert_close(box[:3] + box[3:] / 2, points.amax(0))


def test_views_turn_counter_clockwise_by_quarters_and_the_first_one_is_the_cloud():
    point = torch.tensor([[2.0, 1.0, 3.0]])
    turned = [view.points(point, 0.0)[0].tolist() for view in VIEWS]
    assert turned == [[2, 1, 3], [-1, 2, 3], [-2, -1, 3], [1, -2, 3]]
    assert VIEWS[0].points(point, SIZE).equal(point)
    assert [view.shift for view in VIEWS] == [0, 0.5, 0, 0.5]


@pytest.mark.parametrize("view", VIEWS)
def test_the_origin_of_the_grid_turns_with_the_points(view):
    """Voxels in the frame of the cloud have the same numbers in a view, wherever the grid has its origin."""
    place, anchors = torch.tensor([[70, 3, 5]]), torch.tensor([[32, 64, 0], [-96, 0, 32]])
    numbers = [view.points(place - anchor, 0.0)[0] + view.anchor(anchor) for anchor in anchors]
    assert numbers[0].equal(numbers[1])


@pytest.mark.parametrize("steps", [(0, 0, 0), (157, -62, 9)])
def test_a_cloud_moved_by_multiples_of_the_coarsest_cell_gives_the_same_boxes_in_all_views(detector, steps):
    shift, points = np.array(steps) * 0.32, cloud()
    here, there = viewed(detector, points, MAX_VIEWS), viewed(detector, points + shift, MAX_VIEWS)
    assert len(here) == len(there) > 0
    np.testing.assert_allclose(there.boxes, here.boxes + [*shift, 0, 0, 0], atol=1e-4)


def test_stats_count_the_cells_of_all_views(detector):
    one, two = (viewed(detector, cloud(), number).stats for number in (1, 2))
    assert two.voxels == one.voxels
    coarsest = two.levels[0].before / one.levels[0].before
    assert 1.5 < coarsest < 2.5
    assert two.total_ms == pytest.approx(sum(two.stage_ms.values()))
    assert list(two.stage_ms) == list(one.stage_ms)


def test_too_many_voxels_are_thinned_in_each_view(tiny_checkpoint):
    detector = Detector.load(checkpoint=tiny_checkpoint, device="cpu", max_voxels=500)
    assert viewed(detector, cloud(), 2).stats.voxels == 500


def test_an_empty_cloud_has_no_boxes_in_any_view(detector):
    found = viewed(detector, np.empty((0, 3)), MAX_VIEWS)
    assert (len(found), found.stats.voxels, [cells.before for cells in found.stats.levels]) == (0, 0, [0] * 4)


def test_the_published_suppression_takes_no_more_candidates_of_several_views_than_of_one():
    config = ModelConfig(classes=("cup",), nms_pre=3)
    scores = [torch.tensor([[0.9], [0.5], [0.1]]), torch.tensor([[0.8], [0.7], [0.2]])]
    boxes = [torch.full((3, 6), float(view)) for view in range(2)]
    joined, best = best_of_views(boxes, scores, config)
    assert best[:, 0].tolist() == pytest.approx([0.9, 0.8, 0.7])
    assert joined[:, 0].tolist() == [0, 1, 1]


def test_views_that_agree_in_everything_change_nothing():
    rng = np.random.default_rng(0)
    around = np.repeat(rng.uniform(0, 3, (20, 3)), 10, axis=0) + rng.normal(0, 0.01, (200, 3))
    boxes = torch.from_numpy(np.concatenate([around, rng.uniform(0.1, 0.14, (200, 3))], axis=1)).float()
    scores = torch.from_numpy(rng.uniform(0.1, 1, (200, 3))).float()
    order = torch.argsort(scores.amax(1), descending=True)
    once = fused(boxes[order], scores[order], 0.2, 0.25)
    twice = (part[order].repeat_interleave(2, dim=0) for part in (boxes, scores))
    for one, both in zip(once, fused(*twice, 0.2, 0.25, views=2), strict=True):
        torch.testing.assert_close(both, one)
