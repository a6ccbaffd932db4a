"""Launch arguments become what the real node takes."""

from pathlib import Path

import pytest
import yaml

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.interface import topics
from dspdet3d_ros.ros.parameters import launch_arguments
from dspdet3d_ros.ros.parameters.launch_arguments import demo_arguments, detector_arguments, large_cloud_environment
from dspdet3d_ros.ros.parameters.table import BY_NAME, PARAMETERS

ROOT = Path(__file__).resolve().parents[3]


def values(**given):
    """The values of all arguments of detector.launch.py, as launch gives them."""
    defaults = {argument.name: argument.default for argument in detector_arguments(ROOT)}
    assert set(given) <= set(defaults)
    return {**defaults, **given}


def test_every_argument_is_described_and_its_default_is_one_of_its_choices():
    arguments = (*detector_arguments(ROOT), *demo_arguments(ROOT))
    assert len({argument.name for argument in arguments}) == len(arguments)
    for argument in arguments:
        assert len(argument.description) >= 15
        assert not argument.choices or argument.default in argument.choices
    files = [argument.default for argument in arguments if argument.name in ("params_file", "rviz_config")]
    assert all(Path(file).is_file() for file in files)


def test_every_parameter_is_an_argument_that_is_left_as_the_file_has_it():
    assert {spec.name for spec in PARAMETERS} <= set(values())
    assert launch_arguments.parameters(values()) == {}
    assert launch_arguments.parameters(values(use_sim_time="False")) == {"use_sim_time": False}


def test_arguments_become_parameters_of_the_declared_types():
    given = {
        "model": "1",
        "checkpoint": "",
        "autostart": "False",
        "pruning_threshold": "1",
        "max_detections": "20",
        "input_reliability": "reliable",
        "class_filter": "[cup, book]",
        "use_sim_time": "true",
    }
    assert launch_arguments.parameters(values(**given)) == {
        "model": "1",
        "autostart": False,
        "pruning_threshold": 1.0,
        "max_detections": 20,
        "input_reliability": "reliable",
        "class_filter": ["cup", "book"],
        "use_sim_time": True,
    }
    assert launch_arguments.parameters(values(class_filter="cup"))["class_filter"] == ["cup"]
    assert launch_arguments.parameters(values(class_filter="[]"))["class_filter"] == [""]
    assert type(launch_arguments.parameters(values(pruning_threshold="1"))["pruning_threshold"]) is float


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("pruning_threshold", "7", "pruning_threshold:=7: pruning_threshold is 7.0; expected 0..1"),
        ("pruning_threshold", "low", "expected a number"),
        ("max_detections", "2.5", "expected an integer"),
        ("autostart", "perhaps", "expected true or false"),
        ("class_filter", "[cup, 3]", "expected a list of texts"),
        ("class_filter", "[cup", "expected a list of texts"),
        ("use_sim_time", "perhaps", "use_sim_time:=perhaps: expected true or false"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_the_argument_named(name, text, expected):
    with pytest.raises(InputError) as error:
        launch_arguments.parameters(values(**{name: text}))
    assert expected in str(error.value)


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_delay_is_a_number_of_seconds(text):
    assert launch_arguments.seconds(values(respawn_delay="0.5"), "respawn_delay") == 0.5
    with pytest.raises(InputError, match=f"respawn_delay:={text}: expected a number of seconds"):
        launch_arguments.seconds(values(respawn_delay=text), "respawn_delay")


def test_the_profile_for_large_clouds_is_given_where_the_user_has_none(monkeypatch):
    for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(variable, raising=False)
    profile = str(ROOT / "config" / "fastdds_large_clouds.xml")
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    assert large_cloud_environment() == {"FASTRTPS_DEFAULT_PROFILES_FILE": profile}
    monkeypatch.setenv("ROS_DISTRO", "kilted")
    assert large_cloud_environment() == {"FASTDDS_DEFAULT_PROFILES_FILE": profile}
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "own.xml")
    assert large_cloud_environment() == {}


def test_topics_are_where_namespace_name_and_remappings_put_them():
    shown = dict(
        launch_arguments.viewer_remappings(values(namespace="robot", name="finder", input="scan", output="/o"))
    )
    assert shown["/dspdet3d/input/points"] == "/robot/scan"
    assert shown["/dspdet3d/output/markers"] == "/o/markers"
    assert launch_arguments.viewer_remappings(values()) == []
    assert launch_arguments.input_topic(values(namespace="/robot")) == "/robot/dspdet3d/input/points"
    assert dict(launch_arguments.viewer_remappings(values(namespace="/robot")))["/dspdet3d/output/stats"] == (
        "/robot/dspdet3d/output/stats"
    )


@pytest.mark.parametrize(
    "given",
    [{}, {"namespace": "robot", "name": "finder"}, {"namespace": "/robot/", "input": "scan", "output": "found/"}],
    ids=["defaults", "named", "remapped"],
)
def test_the_real_node_has_the_topics_and_parameters_that_the_arguments_say(bench, tmp_path, given):
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    from dspdet3d_ros.ros.interface.outputs import RESULTS

    assert set(topics.OUTPUTS) == {*RESULTS, topics.LABEL_INFO}
    arguments = values(autostart="false", class_filter="[cup]", max_detections="7", device="cpu", **given)
    # As launch_ros does it: a file of parameters, remappings, namespace and name.
    file = tmp_path / "parameters.yaml"
    file.write_text(yaml.safe_dump({"/**": {"ros__parameters": launch_arguments.parameters(arguments)}}))
    rules = [f"{own}:={topic}" for own, topic in launch_arguments.remappings(arguments)]
    rules += [f"__node:={arguments['name']}"]
    if arguments["namespace"]:
        rules += [f"__ns:=/{arguments['namespace'].strip('/')}"]
    remaps = [word for rule in rules for word in ("-r", rule)]
    files = ["--params-file", arguments["params_file"], "--params-file", str(file)]
    node = bench.start(["--ros-args", *files, *remaps])
    assert node.get_parameter("max_detections").value == 7
    assert list(node.get_parameter("class_filter").value) == ["cup"]
    assert node.get_parameter("input_durability").value == BY_NAME["input_durability"].default
    moved = dict(launch_arguments.viewer_remappings(arguments))
    for name in (topics.INPUT, *topics.OUTPUTS):
        shown = f"/dspdet3d/{name}"
        assert node.resolve_topic_name(f"~/{name}") == moved.get(shown, shown)


@pytest.mark.parametrize("text", ["", "-1", "4.0", "four", "\u0664", "9" * 20])
def test_a_number_of_columns_is_a_whole_number(text):
    assert launch_arguments.whole_number({"columns": "4"}, "columns") == 4
    with pytest.raises(InputError, match=f"columns:={text}: expected a whole number"):
        launch_arguments.whole_number({"columns": text}, "columns")
