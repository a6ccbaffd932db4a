"""Starts the accumulator node: `ros2 launch dspdet3d_ros accumulator.launch.py depth:=/camera/depth/image_rect_raw`."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription

from dspdet3d_ros.ros.launch_actions import PACKAGE, accumulator


def generate_launch_description() -> LaunchDescription:
    """All arguments, then the node."""
    return accumulator(Path(get_package_share_directory(PACKAGE))).description()
