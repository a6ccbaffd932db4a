"""Starts the accumulator node: `ros2 launch dspdet3d_ros accumulator.launch.py depth:=/camera/depth/image_rect_raw`."""

from launch import LaunchDescription

from dspdet3d_ros.ros.launch_actions import ACCUMULATOR


def generate_launch_description() -> LaunchDescription:
    """All arguments, then the node."""
    return ACCUMULATOR.description()
