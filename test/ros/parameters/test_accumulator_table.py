"""The accumulator's table of parameters, its file, its document and its launch arguments agree."""

from pathlib import Path

import pytest
import yaml

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.mapping.map_settings import MapSettings
from dspdet3d_ros.ros.parameters.accumulator_launch import (
    accumulator_arguments,
    accumulator_parameters,
    accumulator_remappings,
)
from dspdet3d_ros.ros.parameters.accumulator_table import MAP_FIELDS, PARAMETERS
from dspdet3d_ros.ros.parameters.documents import config_yaml, markdown_table
from dspdet3d_ros.ros.parameters.spec import KINDS, coerce, fault

ROOT = Path(__file__).resolve().parents[3]


def test_file_and_document_are_made_from_the_table():
    text = config_yaml(PARAMETERS, "accumulator", "accumulator_table")
    assert (ROOT / "config" / "accumulator.yaml").read_text() == text
    assert markdown_table(PARAMETERS) in (ROOT / "docs" / "accumulator.md").read_text()
    values = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert {spec.name: coerce(spec, values[spec.name]) for spec in PARAMETERS} == {
        s.name: s.default for s in PARAMETERS
    }


@pytest.mark.parametrize("spec", PARAMETERS, ids=lambda spec: spec.name)
def test_every_parameter_is_described_and_its_default_allowed(spec):
    assert spec.kind in KINDS
    assert len(spec.description) > 20
    assert fault(spec, spec.default) is None


def test_the_parameters_of_the_map_are_those_of_the_command():
    by_name = {spec.name: spec.default for spec in PARAMETERS}
    assert MapSettings(**{name: by_name[name] for name in MAP_FIELDS}) == MapSettings()


def values(**given):
    return {argument.name: argument.default for argument in accumulator_arguments(ROOT)} | given


def test_launch_arguments_become_parameters_and_remappings():
    assert accumulator_parameters(values()) == {}
    given = accumulator_parameters(values(voxel_size="0.02", use_colour="false", world_frame="odom"))
    assert given == {"voxel_size": 0.02, "use_colour": False, "world_frame": "odom"}
    rules = dict(accumulator_remappings(values(depth="/camera/depth/image_raw", points="/map")))
    assert rules == {
        "~/input/depth": "/camera/depth/image_raw",
        "~/input/depth/compressedDepth": "/camera/depth/image_raw/compressedDepth",
        "~/output/points": "/map",
    }
    with pytest.raises(InputError, match="voxel_size: expected a number"):
        accumulator_parameters(values(voxel_size="7"))
    with pytest.raises(InputError, match="depth:=a b: expected a topic"):
        accumulator_remappings(values(depth="a b"))
