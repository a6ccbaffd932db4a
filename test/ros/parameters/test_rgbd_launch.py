"""Arguments of the launch file for a depth camera become those of the two nodes."""

from pathlib import Path

import pytest

from dspdet3d_ros.ros.parameters.accumulator_launch import (
    accumulator_arguments,
    accumulator_parameters,
    accumulator_remappings,
)
from dspdet3d_ros.ros.parameters.launch_arguments import detector_arguments, parameters, remappings
from dspdet3d_ros.ros.parameters.rgbd_launch import ARGUMENTS, CAMERAS, accumulator_values, detector_values

ROOT = Path(__file__).resolve().parents[3]


def values(**given):
    defaults = {argument.name: argument.default for argument in ARGUMENTS}
    assert set(given) <= set(defaults)
    return {**defaults, **given}


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_arguments_of_every_camera_are_accepted_by_both_nodes(camera):
    accumulator = {argument.name: argument.default for argument in accumulator_arguments(ROOT)}
    detector = {argument.name: argument.default for argument in detector_arguments(ROOT)}
    own, other = accumulator_values(values(camera=camera)), detector_values(values(camera=camera))
    assert set(own) <= set(accumulator)
    assert set(other) <= set(detector)
    given = {**accumulator, **own}
    assert accumulator_parameters(given) == {"pose_source": "tf", "world_frame": "odom"}
    assert dict(accumulator_remappings(given))["~/input/depth"] == CAMERAS[camera]["depth"]
    assert parameters({**detector, **other}) == {"tracking": True}


def test_the_detector_takes_the_cloud_of_the_accumulator():
    detector = {argument.name: argument.default for argument in detector_arguments(ROOT)}
    for namespace, cloud in (("", "/accumulator/output/points"), ("robot", "/robot/accumulator/output/points")):
        given = {**detector, **detector_values(values(namespace=namespace))}
        assert ("~/input/points", cloud) in remappings(given)


def test_a_topic_that_is_given_replaces_that_of_the_camera():
    own = accumulator_values(values(camera="zed", depth="/front/depth"))
    assert own["depth"] == "/front/depth"
    assert own["camera_info"] == CAMERAS["zed"]["camera_info"]


def test_the_document_names_the_topics_of_every_camera():
    text = (ROOT / "docs" / "rgbd.md").read_text(encoding="utf-8")
    for topics in CAMERAS.values():
        assert topics["depth"] in text
        assert topics["colour"] in text
