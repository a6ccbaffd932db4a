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


def test_weights_and_scene_are_small_enough_to_ship():
    assert (DATA_DIR / "small.pth").stat().st_size <= 8e6
    assert (DATA_DIR / "demo_scene.npz").stat().st_size <= 2e6
