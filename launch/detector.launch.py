"""Starts the detector node: `ros2 launch dspdet3d_ros detector.launch.py input:=/camera/points`."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription

from dspdet3d_ros.ros.launch_actions import PACKAGE, node_description
from dspdet3d_ros.ros.parameters import launch_arguments

ARGUMENTS = launch_arguments.detector_arguments(Path(get_package_share_directory(PACKAGE)))


def generate_launch_description() -> LaunchDescription:
    """All arguments, then the node."""
    return node_description(
        executable="detector",
        arguments=ARGUMENTS,
        parameters=launch_arguments.parameters,
        remappings=launch_arguments.remappings,
    )
