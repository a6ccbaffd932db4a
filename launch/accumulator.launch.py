"""Starts the accumulator node: `ros2 launch dspdet3d_ros accumulator.launch.py depth:=/camera/depth/image_rect_raw`."""

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dspdet3d_ros.ros.interface.fastdds import large_cloud_environment
from dspdet3d_ros.ros.parameters import accumulator_launch, launch_arguments

PACKAGE = "dspdet3d_ros"
SHARE = Path(get_package_share_directory(PACKAGE))
ARGUMENTS = accumulator_launch.accumulator_arguments(SHARE)


def generate_launch_description() -> LaunchDescription:
    """All arguments, then the node."""
    declared = [DeclareLaunchArgument(argument.name, **argument.declaration) for argument in ARGUMENTS]
    return LaunchDescription([*declared, OpaqueFunction(function=_accumulator)])


def _accumulator(context: LaunchContext) -> list[Node]:
    values = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
    parameters = {name: _parameter(value) for name, value in accumulator_launch.accumulator_parameters(values).items()}
    file = launch_arguments.parameter_file(values)
    node = Node(
        package=PACKAGE,
        executable="accumulator",
        name=values["name"],
        namespace=values["namespace"],
        parameters=[file, parameters] if parameters else [file],
        remappings=accumulator_launch.accumulator_remappings(values),
        ros_arguments=["--log-level", values["log_level"]],
        additional_env=large_cloud_environment(),
        respawn=launch_arguments.boolean(values, "respawn"),
        respawn_delay=launch_arguments.seconds(values, "respawn_delay"),
        output="screen",
        emulate_tty=True,
    )
    return [node]


def _parameter(value: Any) -> Any:
    """A text stays a text, also where it looks like a number."""
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value
