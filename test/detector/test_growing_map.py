"""A place keeps its boxes and their names while the map grows elsewhere, wherever its floor lies."""

from dataclasses import replace

import numpy as np
import pytest
from limits import NEAR_THRESHOLD

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.detector.boxes import iou_matrix
from dspdet3d_ros.detector.config import load_model_config
from dspdet3d_ros.detector.predictor import Detector

LEAST_KEPT = 0.95
SAME_IOU = 0.9


@pytest.fixture(scope="module")
def detector():
    return Detector.load(device="cpu")


@pytest.fixture(scope="module")
def demo():
    return read_cloud(DEMO_CLOUD).xyz.astype(np.float64)


@pytest.fixture(scope="module")
def boxes_of_demo(detector, demo):
    return detector(demo)


def kept(before, after):
    """The share of the boxes that are where they were and named as they were."""
    iou = iou_matrix(before.boxes, after.boxes)
    best = iou.argmax(1)
    same = [
        iou[i, j] > SAME_IOU and before.names[i] == after.names[j]
        for i, j in enumerate(best)
        if before.scores[i] > load_model_config("small").score_threshold + NEAR_THRESHOLD
    ]
    assert len(same) > 5
    return np.mean(same)


def floor_outside(xyz, share, rng):
    """More floor, half a metre away."""
    low, high, count = xyz.min(0), xyz.max(0), max(1, round(share * len(xyz)))
    places = rng.uniform((high[0] + 0.5, low[1]), (high[0] + 1.5, high[1]), (count, 2))
    return np.column_stack([places, np.full(count, low[2] + 0.01)])


def room_outside(xyz, share, rng, lift=0.0):
    """Part of the same room, turned, half a metre away; its floor is higher by `lift` metres."""
    turned = xyz[rng.permutation(len(xyz))[: round(share * len(xyz))]] * [-1, -1, 1]
    low = turned.min(0)
    return turned - [*low[:2], 0] + [xyz[:, 0].max() + 0.5, xyz[:, 1].min(), lift]


def storey(xyz, share, rng, lift):
    """Part of the same room above or below."""
    return xyz[rng.permutation(len(xyz))[: round(share * len(xyz))]] * [-1, 1, 1] + [2 * xyz[:, 0].mean(), 0, lift]


@pytest.mark.parametrize("share", [0.002, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("more", [floor_outside, room_outside])
def test_the_demo_scene_keeps_its_boxes_while_the_map_grows(detector, demo, boxes_of_demo, more, share):
    grown = np.concatenate([demo, more(demo, share, np.random.default_rng(0))])
    assert kept(boxes_of_demo, detector(grown)) >= LEAST_KEPT


def turned(xyz, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return (xyz - xyz.mean(0)) @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + xyz.mean(0)


ELSEWHERE = {
    "removed": lambda xyz, rng: xyz[:0],
    "thinned": lambda xyz, rng: xyz[rng.random(len(xyz)) < 0.2],
    "scanned again": lambda xyz, rng: np.concatenate([xyz + rng.normal(0, 0.002, xyz.shape) for _ in range(3)]),
    "moved by a loop closure": lambda xyz, rng: turned(xyz + [0.06, -0.04, 0.02], 2),
}


@pytest.mark.parametrize("change", ELSEWHERE)
def test_changes_elsewhere_move_no_box(detector, demo, boxes_of_demo, change):
    border = np.quantile(demo[:, 0], 0.7)
    far = demo[:, 0] > border
    changed = detector(np.concatenate([demo[~far], ELSEWHERE[change](demo[far], np.random.default_rng(0))]))
    # The ground is estimated from points within 1.3 m, the coarsest cells see about as far.
    here = boxes_of_demo.select(np.flatnonzero(boxes_of_demo.boxes[:, 0] < border - 0.7))
    assert kept(here, changed) >= LEAST_KEPT


@pytest.mark.parametrize("lift", [-1.0, 1.0])
def test_places_with_a_lower_or_a_higher_floor_move_no_box(detector, demo, boxes_of_demo, lift):
    grown = np.concatenate([demo, room_outside(demo, 0.5, np.random.default_rng(0), lift)])
    assert kept(boxes_of_demo, detector(grown)) >= LEAST_KEPT


@pytest.mark.parametrize("lift", [-3.0, 3.0])
def test_another_storey_moves_no_box(detector, demo, boxes_of_demo, lift):
    grown = np.concatenate([demo, storey(demo, 0.5, np.random.default_rng(0), lift)])
    assert kept(boxes_of_demo, detector(grown)) >= LEAST_KEPT


@pytest.mark.parametrize("floor", [-1.2, -0.37, 3.13])
def test_boxes_stay_where_the_floor_of_the_frame_is_elsewhere(detector, demo, floor):
    lifted = demo + [0, 0, floor]
    before, rng = detector(lifted), np.random.default_rng(0)
    for more in (floor_outside(lifted, 0.002, rng), room_outside(lifted, 0.5, rng)):
        assert kept(before, detector(np.concatenate([lifted, more]))) >= LEAST_KEPT


def test_reflections_below_the_floor_and_stray_points_move_no_box(detector, demo, boxes_of_demo):
    rng = np.random.default_rng(0)
    low, high = demo.min(0), demo.max(0)
    mirror = rng.uniform((*low[:2], low[2] - 3), (*high[:2], low[2] - 2.95), (round(0.03 * len(demo)), 3))
    strays = np.array([[5000.0, 0, 1], [2000, 0, 1], [0, -1e7, 0], [30, 40, -60]])
    found = detector(np.concatenate([demo, mirror, strays]))
    assert found.stats.points_out_of_range == 2
    assert kept(boxes_of_demo, found) >= LEAST_KEPT


def test_the_order_of_the_points_changes_nothing(detector, demo, boxes_of_demo):
    found = detector(demo[np.random.default_rng(0).permutation(len(demo))])
    assert kept(boxes_of_demo, found) >= LEAST_KEPT


def test_where_points_are_too_many_growth_exchanges_few_of_them(demo):
    limited = Detector.load(device="cpu", max_voxels=len(demo) // 2, max_points=len(demo) * 9 // 10)
    before = limited(demo)
    found = limited(np.concatenate([demo, floor_outside(demo, 0.002, np.random.default_rng(0))]))
    assert kept(before, found) >= 0.8


@pytest.mark.parametrize("seed", [930000, 930001])
def test_generated_rooms_keep_their_boxes_while_the_map_grows(detector, seed):
    pytest.importorskip("embreex", reason="scenes are ray cast with embreex")
    from dspdet3d_ros.learning.generation.scene import generate_scene

    xyz = generate_scene(seed, "room").xyz.astype(np.float64)
    before, rng = detector(xyz), np.random.default_rng(0)
    for share in (0.002, 0.5):
        assert kept(before, detector(np.concatenate([xyz, floor_outside(xyz, share, rng)]))) >= LEAST_KEPT
    assert kept(before, detector(np.concatenate([xyz, room_outside(xyz, 0.5, rng, -1.0)]))) >= LEAST_KEPT


def test_a_building_keeps_the_boxes_of_each_of_its_twelve_rooms(detector, demo, boxes_of_demo):
    # 16 coarsest cells apart, so that all rooms are divided into the same voxels.
    places = [np.array([5.12 * i, 5.12 * j, 0]) for i in range(4) for j in range(3)]
    found = detector(np.concatenate([demo + place for place in places]))
    for place in places:
        here = replace(boxes_of_demo, boxes=boxes_of_demo.boxes + [*place, 0, 0, 0])
        assert kept(here, found) >= LEAST_KEPT
