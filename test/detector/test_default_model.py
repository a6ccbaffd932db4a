"""The weights that come with the package, on the scene that comes with it."""

import numpy as np
import pytest

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.detector.predictor import DATA_DIR, Detector
from dspdet3d_ros.evaluation.metric import SceneResult, precision


@pytest.fixture(scope="module")
def detector():
    return Detector.load(device="cpu")


def found_in(detector, xyz, truth):
    found = detector(xyz)
    return precision([SceneResult(found.boxes, found.scores, found.names, truth.boxes, truth.names)], 0.25)


def test_most_things_of_the_demo_scene_are_found_and_most_boxes_are_right(detector):
    cloud = read_cloud(DATA_DIR / "demo_scene.npz")
    value = found_in(detector, cloud.xyz, cloud.truth)
    assert value.recall >= 0.8
    assert value.hits.mean() >= 0.5


def test_the_demo_scene_turned_by_a_quarter_is_found_as_well(detector):
    cloud = read_cloud(DATA_DIR / "demo_scene.npz")
    turned = cloud.xyz[:, [1, 0, 2]] * np.array([-1, 1, 1], np.float32)
    found = detector(turned)
    back = np.concatenate([found.boxes[:, [1, 0, 2]] * [1, -1, 1], found.boxes[:, [4, 3, 5]]], 1).astype(np.float32)
    result = SceneResult(back, found.scores, found.names, cloud.truth.boxes, cloud.truth.names)
    assert precision([result], 0.25).recall >= 0.7


def test_a_thing_is_found_wherever_in_a_building_it_stands(detector):
    cloud = read_cloud(DATA_DIR / "demo_scene.npz")
    # A multiple of the coarsest cells, so that both rooms are cut into the same cells.
    apart = np.float32([25 * 0.32, 0, 0])
    both = detector(np.concatenate([cloud.xyz, cloud.xyz + apart])).boxes
    middle = (cloud.xyz[:, 0].max() + cloud.xyz[:, 0].min() + apart[0]) / 2
    here, there = both[both[:, 0] < middle], both[both[:, 0] > middle] - np.concatenate([apart, np.zeros(3)])
    assert len(here) == len(there) >= 10
    distance = np.abs(here[:, None] - there[None]).max(-1)
    assert distance.min(1).max() < 1e-3
    assert distance.min(0).max() < 1e-3


def test_weights_and_scene_are_small_enough_to_ship():
    assert (DATA_DIR / "small.pth").stat().st_size <= 8e6
    assert (DATA_DIR / "demo_scene.npz").stat().st_size <= 2e6
