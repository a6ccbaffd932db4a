"""Launch arguments become what the real node takes."""

from pathlib import Path

import pytest
import yaml

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.interface import topics
from dspdet3d_ros.ros.interface.fastdds import large_cloud_environment
from dspdet3d_ros.ros.parameters import launch_arguments, player
from dspdet3d_ros.ros.parameters.launch_arguments import demo_arguments, detector_arguments
from dspdet3d_ros.ros.parameters.table import BY_NAME, PARAMETERS

ROOT = Path(__file__).resolve().parents[3]


def values(**given):
    """The values of all arguments of both launch files, as launch gives them."""
    defaults = {argument.name: argument.default for argument in (*demo_arguments(ROOT), *detector_arguments(ROOT))}
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
        ("pruning_threshold", "7", "pruning_threshold: expected a number in 0..1, got 7.0"),
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


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("period_s", "soon", "period_s: expected a number in 0.01..86400, got 'soon'"),
        ("period_s", "0", "period_s: expected a number in 0.01..86400, got 0.0"),
        ("cloud", "/no/such.ply", "cloud: /no/such.ply: no such file; check the path"),
        ("columns", "", "columns: expected an integer in 0..1000, got None"),
        ("columns", "-1", "columns: expected an integer in 0..1000, got -1"),
        ("columns", "4.0", "columns: expected an integer in 0..1000, got 4.0"),
        ("columns", "\u0664", "expected an integer"),
        ("columns", "9" * 20, "expected an integer in 0..1000"),
        ("use_sim_time", "perhaps", "use_sim_time:=perhaps: expected true or false"),
    ],
)
def test_a_value_that_the_player_cannot_take_is_refused_before_it_starts(name, text, expected):
    with pytest.raises(InputError) as error:
        launch_arguments.player_parameters(values(**{name: text}))
    assert expected in str(error.value)


def test_the_player_gets_its_parameters_in_the_declared_types(tmp_path):
    (tmp_path / "1.ply").touch()
    given = values(cloud=str(tmp_path / "1.ply"), columns="4", up="y", unit="mm", frame_id="1", period_s="2")
    given["use_sim_time"] = "true"
    assert launch_arguments.player_parameters(given) == {
        "cloud": str(tmp_path / "1.ply"),
        "columns": 4,
        "up": "y",
        "unit": "mm",
        "frame_id": "1",
        "period_s": 2.0,
        "use_sim_time": True,
    }
    defaults = {spec.name: spec.default for spec in player.PARAMETERS}
    assert launch_arguments.player_parameters(values()) == defaults


@pytest.mark.parametrize("name", ["params_file", "rviz_config", "cloud"])
def test_a_file_that_is_not_there_is_refused_with_its_path(name, tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InputError, match=f"{name}: {path}: no such file"):
            launch_arguments.file(values(**{name: str(path)}), name)


def test_the_home_folder_of_a_path_is_found_although_no_shell_replaces_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_text("/**: {ros__parameters: {max_points: 1}}")
    given = values(params_file="~/mine.yaml", cloud="~/mine.yaml", checkpoint="~/mine.pth", model="~/mine.yaml")
    assert launch_arguments.parameter_file(given) == str(tmp_path / "mine.yaml")
    assert launch_arguments.player_parameters(given)["cloud"] == str(tmp_path / "mine.yaml")
    assert launch_arguments.parameters(given) == {
        "checkpoint": str(tmp_path / "mine.pth"),
        "model": str(tmp_path / "mine.yaml"),
    }


@pytest.mark.parametrize("content", [b"", b"a: [", b"[a, b]", b"\xff\xfe", b"text"])
def test_a_parameter_file_without_parameters_is_refused_with_its_path(content, tmp_path):
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(InputError, match=rf"params_file: {tmp_path}/bad.yaml: .*; correct the file"):
        launch_arguments.parameter_file(values(params_file=str(tmp_path / "bad.yaml")))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("name", "7up"),
        ("name", "a/b"),
        ("name", ""),
        ("namespace", "robot-1"),
        ("namespace", "a//b"),
        ("namespace", "~"),
        ("input", "~"),
        ("input", "~x"),
        ("input", "/"),
        ("input", "scan/"),
        ("input", "/front camera"),
        ("output", "~x"),
        ("output", "/1st"),
    ],
)
def test_a_name_that_ros_would_not_take_is_refused(name, text):
    with pytest.raises(InputError, match=rf"^{name}:={text}: expected .*; correct the argument"):
        launch_arguments.remappings(values(**{name: text}))


def test_rviz_is_shown_where_it_is_installed_and_there_is_a_display(tmp_path, monkeypatch):
    pytest.importorskip("ament_index_python", reason="ROS 2 is not installed")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    for variable in launch_arguments.DISPLAYS:
        monkeypatch.delenv(variable, raising=False)
    assert launch_arguments.viewer_obstacle().startswith("package rviz2 is not installed; sudo apt install ros-jazzy-")
    packages = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    packages.mkdir(parents=True)
    (packages / "rviz2").touch()
    assert launch_arguments.viewer_obstacle().startswith("no display (DISPLAY and WAYLAND_DISPLAY are not set)")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert launch_arguments.viewer_obstacle() == ""


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
    shown = dict(launch_arguments.viewer_remappings(values(namespace="robot", name="finder", input="~/x", output="~")))
    assert shown["/dspdet3d/input/points"] == "/robot/finder/x"
    assert shown["/dspdet3d/output/markers"] == "/robot/finder/markers"
    assert launch_arguments.input_topic(values(input="~/x")) == "/dspdet3d/x"
    assert launch_arguments.input_topic(values(namespace="/robot")) == "/robot/dspdet3d/input/points"
    assert dict(launch_arguments.viewer_remappings(values(namespace="/robot")))["/dspdet3d/output/stats"] == (
        "/robot/dspdet3d/output/stats"
    )


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"namespace": "robot", "name": "finder"},
        {"namespace": "/robot/", "input": "scan", "output": "found/"},
        {"namespace": "robot/arm", "name": "finder", "input": "~/x", "output": "~/found"},
        {"input": "~/x", "output": "~"},
        {"namespace": "robot", "input": "/x", "output": "/"},
    ],
    ids=["defaults", "named", "remapped", "private", "private_prefix", "root"],
)
def test_the_real_node_has_the_topics_and_parameters_that_the_arguments_say(bench, tmp_path, given):
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    from dspdet3d_ros.ros.interface.outputs import RESULTS

    assert set(topics.OUTPUTS) == {*RESULTS, topics.LABEL_INFO, topics.COLLISION_OBJECTS}
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
