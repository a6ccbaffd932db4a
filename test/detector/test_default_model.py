"""The weights that come with the package, on the scene that comes with it."""

import numpy as np
import pytest

from dspdet3d_ros.clouds.cloud import LabelledBoxes
from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.defaults import DATA, DEMO_CLOUD
from dspdet3d_ros.detector.checkpoint import read_checkpoint, trained_model
from dspdet3d_ros.detector.config import load_model_config
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.learning.datasets.folders import open_scenes
from dspdet3d_ros.learning.datasets.rotation import rotated_set
from dspdet3d_ros.learning.evaluation.metric import SceneResult, precision
from dspdet3d_ros.learning.generation.scene import generate_scene

# The most recall that a turn costs on this scene; docs/reliability.md, Frames.
YAW_LOSS = 0.18


@pytest.fixture(scope="module")
def detector():
    return Detector.load(device="cpu")


def result_of(detector, xyz, truth):
    found = detector(xyz)
    return SceneResult(found.boxes, found.scores, found.names, truth.boxes, truth.names)


def found_in(detector, xyz, truth):
    return precision([result_of(detector, xyz, truth)], 0.25)


def test_most_objects_of_the_demo_scene_are_found_and_most_boxes_are_right(detector):
    cloud = read_cloud(DEMO_CLOUD)
    value = found_in(detector, cloud.xyz, cloud.truth)
    assert value.recall >= 0.7
    assert value.hits.mean() >= 0.5


def test_average_precision_on_generated_tables(detector):
    """Eight scenes with 61 objects that the weights were not trained on."""
    pytest.importorskip("embreex", reason="the generator needs it")
    scenes = [generate_scene(seed, "table") for seed in range(900_001, 900_009)]
    results = [result_of(detector, scene.xyz, scene) for scene in scenes]
    assert precision(results, 0.25).average > 0.5
    assert precision(results, 0.5).average > 0.25


def recall_turned(detector, yaw):
    (scene,) = rotated_set(open_scenes(DATA), yaw)
    return found_in(detector, scene.xyz, LabelledBoxes(scene.boxes, scene.names)).recall


@pytest.fixture(scope="module")
def upright(detector):
    return recall_turned(detector, 0)


@pytest.mark.parametrize("yaw", [15, 45, 90])
def test_the_demo_scene_turned_by_any_angle_is_found_as_well(detector, upright, yaw):
    assert recall_turned(detector, yaw) >= upright - YAW_LOSS


def test_a_object_is_found_wherever_in_a_building_it_stands(detector):
    cloud = read_cloud(DEMO_CLOUD)
    # A multiple of the coarsest cells, so that both rooms are cut into the same cells.
    apart = np.float32([25 * 0.32, 0, 0])
    both = detector(np.concatenate([cloud.xyz, cloud.xyz + apart])).boxes
    middle = (cloud.xyz[:, 0].max() + cloud.xyz[:, 0].min() + apart[0]) / 2
    here, there = both[both[:, 0] < middle], both[both[:, 0] > middle] - np.concatenate([apart, np.zeros(3)])
    assert len(here) == len(there) >= 10
    distance = np.abs(here[:, None] - there[None]).max(-1)
    assert distance.min(1).max() < 1e-3
    assert distance.min(0).max() < 1e-3


def test_the_close_model_finds_more_objects_in_bins_than_the_default_model(detector):
    """Six bins with 40 objects that the weights were not trained on."""
    pytest.importorskip("embreex", reason="the generator needs it")
    scenes = [generate_scene(seed, "bin") for seed in range(800_000, 800_006)]
    close = Detector.load("close", device="cpu")
    here, there = (
        precision([result_of(model, scene.xyz, scene) for scene in scenes], 0.25) for model in (close, detector)
    )
    assert here.average > there.average + 0.05
    assert here.average > 0.4


@pytest.mark.parametrize("name", ["small", "close"])
def test_weights_are_small_enough_to_ship_and_were_trained_as_the_model_file_says(name):
    path, config = DATA / f"{name}.pth", load_model_config(name)
    assert path.stat().st_size <= 8e6
    trained = trained_model(read_checkpoint(path), str(path))
    same = ("classes", "voxel_size", "widths", "blocks", "head_width", "relative_xy", "recenter")
    assert {key: getattr(trained, key) for key in same} == {key: getattr(config, key) for key in same}


def test_the_demo_scene_is_small_enough_to_ship():
    assert DEMO_CLOUD.stat().st_size <= 2e6
