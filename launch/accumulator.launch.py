"""Starts the accumulator node: `ros2 launch dspdet3d_ros accumulator.launch.py depth:=/camera/depth/image_rect_raw`."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription

from dspdet3d_ros.ros.launch_actions import PACKAGE, node_description
from dspdet3d_ros.ros.parameters import accumulator_launch

ARGUMENTS = accumulator_launch.accumulator_arguments(Path(get_package_share_directory(PACKAGE)))


def generate_launch_description() -> LaunchDescription:
    """All arguments, then the node."""
    return node_description(
        executable="accumulator",
        arguments=ARGUMENTS,
        parameters=accumulator_launch.accumulator_parameters,
        remappings=accumulator_launch.accumulator_remappings,
    )
