"""Without a ROS installation there is no `launch`: what can be read off the files is checked in any case."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from dspdet3d_ros.ros.launch_arguments import NAMES, demo_arguments, detector_arguments
from dspdet3d_ros.ros.parameters import PARAMETERS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "launch").glob("*.launch.py"))
DECLARED = {
    "detector.launch.py": {argument.name for argument in detector_arguments(ROOT)},
    "demo.launch.py": {argument.name for argument in (*demo_arguments(ROOT), *NAMES)},
}
# What launch 1.0 and launch_ros 0.19 (Humble) have, and Kilted's still do.
FROM_HUMBLE_ON = {
    "launch": {"LaunchContext", "LaunchDescription"},
    "launch.actions": {"DeclareLaunchArgument", "IncludeLaunchDescription", "OpaqueFunction", "Shutdown"},
    "launch.launch_description_sources": {"PythonLaunchDescriptionSource"},
    "launch.substitutions": {"LaunchConfiguration"},
    "launch_ros.actions": {"Node"},
    "launch_ros.parameter_descriptions": {"ParameterValue"},
}
KEYWORDS = {
    "DeclareLaunchArgument": {"default_value", "description", "choices"},
    "IncludeLaunchDescription": {"launch_arguments"},
    "OpaqueFunction": {"function"},
    "Shutdown": {"reason"},
    "ParameterValue": {"value_type"},
    "Node": {"package", "executable", "name", "namespace", "parameters", "remappings", "ros_arguments", "arguments"}
    | {"additional_env", "respawn", "respawn_delay", "on_exit", "output", "emulate_tty"},
}
by_name = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def calls(path):
    """Name and keywords of every call."""
    found = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    return [(ast.unparse(call.func), {keyword.arg for keyword in call.keywords}) for call in found]


def subscripts(path):
    """Texts that `values` is asked for, itself or by a function that is given it."""
    return set(re.findall(r"values(?:\[|, )[\"'](\w+)[\"']", path.read_text(encoding="utf-8")))


def test_these_are_the_launch_files():
    assert {path.name for path in FILES} == set(DECLARED)


@by_name
def test_a_launch_file_uses_only_what_every_distribution_has(path):
    compile(path.read_text(encoding="utf-8"), str(path), "exec")
    for statement in ast.walk(tree(path)):
        if isinstance(statement, ast.ImportFrom) and statement.module.split(".")[0] in ("launch", "launch_ros"):
            assert {alias.name for alias in statement.names} <= FROM_HUMBLE_ON[statement.module]
    for name, keywords in calls(path):
        if name in KEYWORDS:
            assert keywords - {None} <= KEYWORDS[name]


@by_name
def test_every_declared_argument_is_used_and_every_used_one_declared(path):
    # What the files do not ask for themselves, these functions do.
    in_functions = subscripts(ROOT / "dspdet3d_ros" / "ros" / "launch_arguments.py")
    in_functions |= {spec.name for spec in PARAMETERS}
    used = subscripts(path)
    assert used <= DECLARED[path.name]
    assert DECLARED[path.name] <= used | in_functions


@by_name
def test_the_programs_that_it_starts_are_installed(path):
    for program in re.findall(r'executable="(\w+)"', path.read_text(encoding="utf-8")):
        assert program == "rviz2" or (ROOT / "scripts" / "executables" / program).is_file()


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
        assert len(argument.description) > 15


@by_name
def test_launch_describes_its_nodes(path, module):
    nodes = visited(module.generate_launch_description(), namespace="robot", name="finder", class_filter="[cup]")
    assert nodes[0].node_name == "/robot/finder"
    assert len(nodes) == (3 if path.name == "demo.launch.py" else 1)


@by_name
def test_launch_refuses_a_value_that_cannot_be(path, module):
    with pytest.raises(Exception, match=r"expected 0\.\.1"):
        visited(module.generate_launch_description(), pruning_threshold="7")
    with pytest.raises(Exception, match="not valid"):
        visited(module.generate_launch_description(), log_level="loud")
