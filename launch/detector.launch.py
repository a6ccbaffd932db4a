"""Starts the detector node: `ros2 launch dspdet3d_ros detector.launch.py input:=/camera/points`."""

from launch import LaunchDescription

from dspdet3d_ros.ros.launch_actions import DETECTOR


def generate_launch_description() -> LaunchDescription:
    """All arguments, then the node."""
    return DETECTOR.description()
