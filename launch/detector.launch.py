"""Starts the detector node: `ros2 launch dspdet3d_ros detector.launch.py input:=/camera/points`."""

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dspdet3d_ros.ros.interface.fastdds import large_cloud_environment
from dspdet3d_ros.ros.parameters import launch_arguments

PACKAGE = "dspdet3d_ros"
SHARE = Path(get_package_share_directory(PACKAGE))
ARGUMENTS = launch_arguments.detector_arguments(SHARE)


def generate_launch_description() -> LaunchDescription:
    """All arguments, then the node."""
    declared = [DeclareLaunchArgument(argument.name, **argument.declaration) for argument in ARGUMENTS]
    return LaunchDescription([*declared, OpaqueFunction(function=_detector)])


def _detector(context: LaunchContext) -> list[Node]:
    values = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
    parameters = {name: _parameter(value) for name, value in launch_arguments.parameters(values).items()}
    file = launch_arguments.parameter_file(values)
    node = Node(
        package=PACKAGE,
        executable="detector",
        name=values["name"],
        namespace=values["namespace"],
        parameters=[file, parameters] if parameters else [file],
        remappings=launch_arguments.remappings(values),
        ros_arguments=["--log-level", values["log_level"]],
        additional_env=large_cloud_environment(),
        respawn=launch_arguments.boolean(values, "respawn"),
        respawn_delay=launch_arguments.seconds(values, "respawn_delay"),
        output="screen",
        emulate_tty=True,
    )
    return [node]


def _parameter(value: Any) -> Any:
    """A text stays a text, also if it looks like a number."""
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value
