"""Parameters of the running node, through the standard services: live ones apply at once, bad ones get a reason."""

import math

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import rclpy.node
from node_topics import HEADER, Topics
from rcl_interfaces.srv import DescribeParameters
from rclpy.parameter import Parameter

from dspdet3d_ros.ros.interface.messages import cloud_message


def names_of(array):
    """The classes of the published boxes."""
    return {detection.results[0].hypothesis.class_id for detection in array.detections}


def test_thresholds_follow_the_model_and_are_shown_as_they_are_in_effect(start):
    bench = start()
    assert bench.get("pruning_threshold") == 0.125
    assert bench.get("score_threshold") == 0.0
    assert bench.get("nms_iou_threshold") == 0.75
    assert list(bench.get("class_filter")) == []


def test_thresholds_that_somebody_set_do_not_follow_the_model(start, points):
    bench = start(nms_iou_threshold=0.5)
    assert bench.get("nms_iou_threshold") == 0.5
    assert bench.get("pruning_threshold") == 0.125
    assert bench.set(score_threshold=1.0).successful
    for label in ("deactivate", "cleanup", "configure", "activate"):
        assert bench.change(label)
    assert bench.get("score_threshold") == 1.0
    assert Topics(bench).ask(cloud_message(HEADER, points))[0].detections == []


@pytest.mark.parametrize(("given", "stored"), [(0, 0.0), (1, 1.0), (0.4, 0.4), (1.0, 1.0)])
def test_a_threshold_takes_numbers_of_both_kinds(start, given, stored):
    bench = start()
    assert bench.set(pruning_threshold=given).successful
    value = bench.get("pruning_threshold")
    assert value == stored
    assert isinstance(value, float)
    assert bench.figures()["pruning_threshold"] == f"{stored:g}"


def test_the_number_of_views_follows_the_model_and_changes_while_the_node_runs(start, points):
    bench = start()
    topics, cells = Topics(bench), []
    assert bench.get("views") == 1
    for number in (1, 2, 4):
        assert bench.set(views=number).successful
        stats = topics.ask(cloud_message(HEADER, points))[-1]
        cells.append(stats.cells_before[0])
    assert 1.5 < cells[1] / cells[0] < 2.5 < cells[2] / cells[0] < 5.5
    assert not bench.set(views=5).successful


@pytest.mark.parametrize("value", [-0.1, 1.5, 2, -1, math.nan, math.inf, "0.5", True, [0.5]])
def test_a_threshold_that_cannot_be_is_refused_with_a_reason(start, value):
    bench = start()
    result = bench.set(pruning_threshold=value)
    assert not result.successful
    assert len(result.reason) > 10
    assert bench.get("pruning_threshold") == 0.125
    assert bench.figures()["pruning_threshold"] == "0.125"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("pruning_threshold", "abc", "pruning_threshold: expected a number in 0..1, got 'abc'"),
        ("pruning_threshold", 1.5, "pruning_threshold: expected a number in 0..1, got 1.5"),
        ("pruning_threshold", [0.5], "pruning_threshold: expected a number in 0..1, got [0.5]"),
        ("max_detections", 0, "max_detections: expected an integer in 1..100000, got 0"),
        ("max_detections", 2.5, "max_detections: expected an integer in 1..100000, got 2.5"),
        ("input_reliability", "perhaps", "input_reliability: expected auto, best_effort or reliable, got 'perhaps'"),
        ("model", 3, "model: expected text, got 3"),
        ("class_filter", [1, 2], "class_filter: expected a list of texts, got [1, 2]"),
        ("use_sim_time", "abc", "use_sim_time: expected true or false, got 'abc'"),
        ("prunning_threshold", 0.5, "there is no parameter 'prunning_threshold'; there are model, checkpoint, "),
    ],
)
def test_a_refusal_is_in_words_and_changes_nothing(start, name, value, reason):
    if not hasattr(rclpy.node.Node, "add_pre_set_parameters_callback"):
        pytest.skip("rclpy of Humble checks the types before the node can")
    bench = start()
    request = DescribeParameters.Request(names=["model", "pruning_threshold", "max_detections", "class_filter"])
    before = bench.call(DescribeParameters, "describe_parameters", request).descriptors
    for atomically in (False, True):
        result = bench.set(atomically=atomically, **{name: value})
        assert not result.successful
        assert result.reason.startswith(reason)
        assert bench.call(DescribeParameters, "describe_parameters", request).descriptors == before
    assert bench.get("pruning_threshold") == 0.125
    # What was refused once does not stay in the way.
    assert bench.set(pruning_threshold=0.5).successful
    assert bench.set(use_sim_time=False).successful


def test_of_several_values_at_once_none_is_taken_if_one_is_bad(start):
    bench = start()
    result = bench.set(atomically=True, pruning_threshold=0.5, class_filter=["cup", "teapot"], max_detections=7)
    assert not result.successful
    assert "teapot" in result.reason
    assert bench.get("pruning_threshold") == 0.125
    assert bench.get("max_detections") == 300
    assert bench.set(atomically=True, pruning_threshold=1, class_filter=["cup"], max_detections=7).successful
    names = "pruning_threshold", "class_filter", "max_detections"
    assert [bench.get(name) for name in names] == [1.0, ["cup"], 7]


def test_a_class_the_model_does_not_know_is_refused_and_those_it_knows_are_listed(start):
    bench = start()
    result = bench.set(class_filter=["teapot"])
    assert not result.successful
    assert "cup, book, plant" in result.reason


@pytest.mark.parametrize(
    "empty",
    [
        Parameter("class_filter", Parameter.Type.STRING_ARRAY, []),
        Parameter("class_filter", Parameter.Type.BOOL_ARRAY, []),
        Parameter("class_filter", Parameter.Type.BYTE_ARRAY, []),
        [""],
    ],
    ids=["strings", "bools", "bytes", "one empty text"],
)
def test_an_empty_filter_is_taken_in_any_of_its_forms(start, points, empty):
    topics, cloud = Topics(bench := start()), cloud_message(HEADER, points)
    assert bench.set(class_filter=["cup"]).successful
    assert names_of(topics.ask(cloud)[0]) <= {"cup"}
    assert bench.set(class_filter=empty).successful
    assert names_of(topics.ask(cloud)[0]) > {"cup"}
    assert bench.set(class_filter="book").successful
    assert list(bench.get("class_filter")) == ["book"]


def test_start_up_parameters_change_only_while_unconfigured(start, tiny, points):
    bench = start()
    result = bench.set(max_points=1000)
    assert not result.successful
    assert "unconfigured" in result.reason
    assert bench.set(max_points=5_000_000).successful, "an unchanged value is no change"
    assert bench.change("deactivate")
    assert not bench.set(device="cuda").successful
    assert bench.change("cleanup")
    assert bench.set(max_points=1000).successful
    assert bench.change("configure")
    assert bench.change("activate")
    assert 0 < Topics(bench).ask(cloud_message(HEADER, points))[2].points_used <= 1000


def test_parameters_cannot_be_removed(start):
    bench = start()
    assert not bench.set(pruning_threshold=Parameter("pruning_threshold")).successful
    assert bench.get("pruning_threshold") == 0.125


def test_parameters_are_described_with_ranges(start):
    bench = start()
    request = DescribeParameters.Request(names=["pruning_threshold", "max_detections", "input_reliability"])
    threshold, number, reliability = bench.call(DescribeParameters, "describe_parameters", request).descriptors
    assert (threshold.floating_point_range[0].from_value, threshold.floating_point_range[0].to_value) == (0.0, 1.0)
    assert number.integer_range[0].from_value == 1
    assert "auto, best_effort, reliable" in reliability.additional_constraints
    assert "unconfigured" in reliability.additional_constraints
    assert all(len(descriptor.description) > 20 for descriptor in (threshold, number, reliability))


def test_integers_in_a_parameter_file_are_taken_for_numbers(start):
    bench = start(pruning_threshold=0, score_threshold=1)
    assert bench.get("pruning_threshold") == 0.0
    assert bench.get("score_threshold") == 1.0


def test_a_parameter_file_with_an_empty_list_is_read(bench, tiny, tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text("/**:\n  ros__parameters:\n    class_filter: []\n    pruning_threshold: 1\n    autostart: false\n")
    bench.start(cli_args=["--ros-args", "--params-file", str(file)])
    assert list(bench.get("class_filter")) == []
    assert bench.get("pruning_threshold") == 1.0


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [("pruning_threshold", 1.5, 0.5), ("max_points", "many", 1000), ("class_filter", ["teapot"], ["cup"])],
)
def test_a_bad_value_at_the_start_keeps_the_node_unconfigured_until_it_is_fixed(bench, tiny, capfd, name, bad, good):
    bench.start(model=tiny.model, checkpoint=tiny.checkpoint, device="cpu", **{name: bad})
    assert bench.state() == "unconfigured"
    assert not bench.change("configure")
    assert f"parameter {name}" in capfd.readouterr().err
    assert bench.set(**{name: good}).successful
    assert bench.change("configure")
    assert bench.change("activate")


def test_a_mistyped_name_is_reported(bench, capfd):
    bench.start(autostart=False, prunning_threshold=0.5)
    assert bench.state() == "unconfigured"
    assert "no parameter 'prunning_threshold'" in capfd.readouterr().err
