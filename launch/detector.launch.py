"""Starts the detector node: `ros2 launch dspdet3d_ros detector.launch.py input:=/camera/points`."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription

from dspdet3d_ros.ros.launch_actions import PACKAGE, detector


def generate_launch_description() -> LaunchDescription:
    """All arguments, then the node."""
    return detector(Path(get_package_share_directory(PACKAGE))).description()
