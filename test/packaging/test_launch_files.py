"""Without a ROS installation there is no `launch`: what can be read off the files is checked in any case."""

import ast
import importlib.util
import os
import re
from pathlib import Path

import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.parameters import accumulator_table, player, rgbd_launch
from dspdet3d_ros.ros.parameters.accumulator_launch import TOPICS, accumulator_arguments
from dspdet3d_ros.ros.parameters.launch_arguments import NAMES, demo_arguments, detector_arguments
from dspdet3d_ros.ros.parameters.table import PARAMETERS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))
# What they have in common.
ACTIONS = ROOT / "dspdet3d_ros" / "ros" / "launch_actions.py"
DECLARED = {
    "accumulator.launch.py": {argument.name for argument in accumulator_arguments(ROOT)},
    "detector.launch.py": {argument.name for argument in detector_arguments(ROOT)},
    "rgbd.launch.py": {argument.name for argument in rgbd_launch.ARGUMENTS},
    "demo.launch.py": {argument.name for argument in (*demo_arguments(ROOT), *NAMES)},
}
# What launch 1.0 and launch_ros 0.19 (Humble) have, and Kilted's still do.
FROM_HUMBLE_ON = {
    "launch": {"LaunchContext", "LaunchDescription", "LaunchDescriptionEntity"},
    "launch.actions": {"DeclareLaunchArgument", "IncludeLaunchDescription", "LogInfo", "OpaqueFunction", "Shutdown"}
    | {"EmitEvent", "PopLaunchConfigurations", "PushLaunchConfigurations", "RegisterEventHandler"},
    "launch.events": {"matches_action"},
    "launch.events.process": {"ProcessExited"},
    "launch.launch_description_sources": {"PythonLaunchDescriptionSource"},
    "launch.substitutions": {"LaunchConfiguration"},
    "launch_ros.actions": {"LifecycleNode", "Node"},
    "launch_ros.event_handlers": {"OnStateTransition"},
    "launch_ros.events.lifecycle": {"ChangeState"},
    "launch_ros.parameter_descriptions": {"ParameterValue"},
}
KEYWORDS = {
    "DeclareLaunchArgument": {"default_value", "description", "choices"},
    "IncludeLaunchDescription": {"launch_arguments"},
    "LogInfo": {"msg"},
    "OpaqueFunction": {"function"},
    "Shutdown": {"reason"},
    "ParameterValue": {"value_type"},
    "ChangeState": {"lifecycle_node_matcher", "transition_id"},
    "EmitEvent": {"event"},
    "LifecycleNode": {"package", "executable", "name", "namespace", "parameters"},
    "OnStateTransition": {"target_lifecycle_node", "start_state", "goal_state", "entities"},
    "Node": {"package", "executable", "name", "namespace", "parameters", "remappings", "ros_arguments", "arguments"}
    | {"additional_env", "respawn", "respawn_delay", "on_exit", "output", "emulate_tty"},
}
# Arguments that a launch file accepts, and one that it refuses with the reason.
GIVEN = {"accumulator.launch.py": {"voxel_size": "0.02"}, "detector.launch.py": {"class_filter": "[cup]"}}
REFUSED = {"accumulator.launch.py": ("voxel_size", r"expected a number in 0\.002\.\.0\.2")}
# A launch file for one's own bring-up, as the document shows it.
DOCUMENT = (ROOT / "docs" / "bringup.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.S)
by_name = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def calls(source):
    """Name and keywords of every call."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [(ast.unparse(call.func), {keyword.arg for keyword in call.keywords}) for call in found]


def subscripts(path):
    """Texts that `values` is asked for, itself or by a function that is given it."""
    return set(re.findall(r"values(?:\[|, )[\"'](\w+)[\"']", path.read_text(encoding="utf-8")))


def test_these_are_the_launch_files():
    assert {path.name for path in FILES} == set(DECLARED)


@pytest.mark.parametrize("source", [*(path.read_text(encoding="utf-8") for path in (*FILES, ACTIONS)), EXAMPLE])
def test_a_launch_file_uses_only_what_every_distribution_has(source):
    for statement in ast.walk(ast.parse(source)):
        if isinstance(statement, ast.ImportFrom) and statement.module.split(".")[0] in ("launch", "launch_ros"):
            assert {alias.name for alias in statement.names} <= FROM_HUMBLE_ON[statement.module]
    for name, keywords in calls(source):
        if name in KEYWORDS:
            assert keywords - {None} <= KEYWORDS[name]


@by_name
def test_every_declared_argument_is_used_and_every_used_one_declared(path):
    # What the files do not ask for themselves, these functions do.
    in_functions = subscripts(ROOT / "dspdet3d_ros" / "ros" / "parameters" / "launch_arguments.py")
    in_functions |= subscripts(ACTIONS)
    in_functions |= {spec.name for spec in (*PARAMETERS, *player.PARAMETERS, *accumulator_table.PARAMETERS)}
    in_functions |= set(TOPICS) | {argument.name for argument in rgbd_launch.ARGUMENTS}
    used = subscripts(path)
    assert used <= DECLARED[path.name]
    assert DECLARED[path.name] <= used | in_functions


@pytest.mark.parametrize("path", [*FILES, ACTIONS], ids=lambda path: path.name)
def test_the_programs_that_it_starts_are_installed(path):
    for program in re.findall(r'executable="(\w+)"', path.read_text(encoding="utf-8")):
        assert program == "rviz2" or (ROOT / "scripts" / "executables" / program).is_file()


def test_the_document_names_every_argument_that_is_no_parameter_and_only_such_as_there_are():
    parameters = {spec.name for spec in (*PARAMETERS, *accumulator_table.PARAMETERS)}
    own = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("accumulator.md", "rgbd.md"))
    # Of the driver's launch file.
    own = own.replace("align_depth.enable:=", "")
    for name in set.union(*DECLARED.values()) - parameters:
        assert f"`{name}`" in DOCUMENT + own
    assert set(re.findall(r"(?<![\w/])([a-z]\w*):=", own)) <= set.union(*DECLARED.values())
    assert set(re.findall(r"(?<![\w/])([a-z]\w*):=", DOCUMENT)) <= set.union(*DECLARED.values())


def test_launch_loads_the_example_of_the_document():
    pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS installation only")
    names = {}
    exec(compile(EXAMPLE, "bringup.md", "exec"), names)
    assert len(names["generate_launch_description"]().entities) == 3


@pytest.fixture
def module(path):
    """The launch file as `ros2 launch` loads it."""
    pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS installation only")
    from ament_index_python.packages import get_package_share_directory

    if not (Path(get_package_share_directory("dspdet3d_ros")) / "launch").is_dir():
        pytest.skip("the package's launch files are not installed here")
    specification = importlib.util.spec_from_file_location("launch_file", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def visited(description, **given):
    """The processes that a launch description would start, with all substitutions done."""
    from launch import LaunchContext
    from launch_ros.actions import Node

    context = LaunchContext()
    context.launch_configurations.update(given)
    waiting, nodes = list(description.entities), []
    while waiting:
        entity = waiting.pop(0)
        if isinstance(entity, Node):
            entity._perform_substitutions(context)
            nodes.append(entity)
        else:
            waiting[:0] = entity.visit(context) or []
    return nodes


@by_name
def test_launch_lists_every_argument_with_its_description(path, module):
    arguments = {argument.name: argument for argument in module.generate_launch_description().get_launch_arguments()}
    assert set(arguments) >= DECLARED[path.name]
    assert set(arguments) <= set.union(*DECLARED.values())
    for argument in arguments.values():
        assert len(argument.description) >= 15


@pytest.fixture
def rviz2(tmp_path, monkeypatch):
    """A folder in which the package rviz2 is installed, but empty, and a display."""
    packages = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    packages.mkdir(parents=True)
    (packages / "rviz2").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", os.pathsep.join([str(tmp_path), os.environ.get("AMENT_PREFIX_PATH", "")]))
    monkeypatch.setenv("DISPLAY", ":0")


@by_name
def test_launch_describes_its_nodes(path, module, rviz2):
    nodes = visited(module.generate_launch_description(), namespace="robot", name="finder", **GIVEN.get(path.name, {}))
    expected = {
        "demo.launch.py": ["finder", "cloud_player", "rviz2"],
        # Both cannot have the same name.
        "rgbd.launch.py": ["accumulator", "dspdet3d"],
    }
    names = [
        node.node_executable if node.node_name is None or "<" in node.node_name else node.node_name for node in nodes
    ]
    assert [name.removeprefix("/robot/") for name in names] == expected.get(path.name, ["finder"])


@by_name
def test_launch_refuses_a_value_that_cannot_be(path, module):
    name, expected = REFUSED.get(path.name, ("pruning_threshold", r"expected a number in 0\.\.1"))
    with pytest.raises(Exception, match=expected):
        visited(module.generate_launch_description(), **{name: "7"})
    with pytest.raises(Exception, match="not valid"):
        visited(module.generate_launch_description(), log_level="loud")


@pytest.mark.parametrize("path", [ROOT / "launch" / "rgbd.launch.py"], ids=lambda path: path.name)
@pytest.mark.parametrize("given", [{"voxel_size": "7"}, {"pruning_threshold": "7"}, {"params_file": "/no/such.yaml"}])
def test_of_two_nodes_none_is_started_if_an_argument_cannot_be(path, module, given):
    from launch import LaunchContext

    context = LaunchContext()
    context.launch_configurations.update(given)
    *declarations, nodes = module.generate_launch_description().entities
    for declaration in declarations:
        assert not declaration.visit(context)
    # What this returns, launch starts.
    with pytest.raises(InputError, match=next(iter(given))):
        nodes.visit(context)
