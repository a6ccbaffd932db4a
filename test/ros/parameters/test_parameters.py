"""One table of parameters: checked with reasons, and equal to the file and the model it describes."""

import math
from pathlib import Path

import pytest
import yaml

from dspdet3d_ros.detector.config import load_model_config
from dspdet3d_ros.ros.parameters.documents import config_yaml, markdown_table
from dspdet3d_ros.ros.parameters.spec import KINDS, Spec, coerce, fault
from dspdet3d_ros.ros.parameters.table import BY_NAME, PARAMETERS, unknown_classes

ROOT = Path(__file__).resolve().parents[3]


def test_the_parameter_file_is_made_from_the_table():
    assert (ROOT / "config/detector.yaml").read_text() == config_yaml(PARAMETERS, "detector", "table")


def test_the_parameter_file_has_every_default_that_is_not_the_models():
    values = yaml.safe_load(config_yaml(PARAMETERS, "detector", "table"))["/**"]["ros__parameters"]
    assert set(values) == {spec.name for spec in PARAMETERS if not spec.from_model}
    for name, value in values.items():
        spec = BY_NAME[name]
        assert coerce(spec, value) == (list(spec.default) if spec.kind.endswith("[]") else spec.default)


def test_the_values_shown_for_the_model_are_those_of_the_default_model():
    config = load_model_config(BY_NAME["model"].default)
    for spec in PARAMETERS:
        if spec.from_model:
            assert spec.default == getattr(config, spec.name), spec.name


@pytest.mark.parametrize("spec", PARAMETERS, ids=lambda spec: spec.name)
def test_every_parameter_is_described_and_its_default_allowed(spec):
    assert spec.kind in KINDS
    assert len(spec.description) > 20
    assert fault(spec, spec.default) is None
    assert f"| `{spec.name}` | {spec.kind} |" in markdown_table(PARAMETERS)


def test_the_page_of_parameters_has_the_table():
    assert markdown_table(PARAMETERS) in (ROOT / "docs" / "parameters.md").read_text()


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("pruning_threshold", 1, 1.0),
        ("pruning_threshold", 0.5, 0.5),
        ("class_filter", "cup", ["cup"]),
        ("class_filter", [""], []),
        ("class_filter", [], []),
        ("class_filter", ("cup", "book"), ["cup", "book"]),
        ("max_detections", 7, 7),
        ("model", "small", "small"),
    ],
)
def test_what_means_the_same_is_taken(name, given, meant):
    value = coerce(BY_NAME[name], given)
    assert value == meant
    assert type(value) is type(meant)
    assert fault(BY_NAME[name], value) is None


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("pruning_threshold", -0.1, "a number in 0..1"),
        ("pruning_threshold", 1.01, "a number in 0..1"),
        ("pruning_threshold", 2, "a number in 0..1"),
        ("pruning_threshold", math.nan, "a number in 0..1"),
        ("pruning_threshold", math.inf, "a number in 0..1"),
        ("pruning_threshold", "0.5", "a number"),
        ("pruning_threshold", True, "a number"),
        ("pruning_threshold", None, "a number"),
        ("max_detections", 0, "an integer in 1..100000"),
        ("max_detections", 1.5, "an integer"),
        ("max_detections", False, "an integer"),
        ("autostart", 1, "true or false"),
        ("device", 0, "text"),
        ("class_filter", [1, 2], "a list of texts"),
        ("class_filter", 3, "a list of texts"),
        ("input_reliability", "sometimes", "auto, best_effort or reliable"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_name_value_and_what_was_expected(name, given, expected):
    text = fault(BY_NAME[name], coerce(BY_NAME[name], given))
    assert text.startswith(f"{name}: expected {expected}")
    assert ", got " in text
    assert "\n" not in text


def test_a_plain_y_which_ros_reads_as_true_is_an_axis():
    up = Spec("up", "string", "z", "axis", choices=("y", "z"))
    assert coerce(up, True) == "y"
    assert fault(up, coerce(up, False)) == "up: expected y or z, got False"
    assert fault(BY_NAME["device"], coerce(BY_NAME["device"], True)) == "device: expected text, got True"


def test_unknown_classes_are_named_and_the_known_ones_listed():
    assert unknown_classes(["cup"], ("cup", "book")) is None
    assert unknown_classes([], ("cup",)) is None
    text = unknown_classes(["cup", "cop"], ("cup", "book"))
    assert "'cop'" in text
    assert "it knows cup, book" in text
