"""Depth camera and poses in, objects out: `ros2 launch dspdet3d_ros rgbd.launch.py world_frame:=odom`.

It starts the accumulator and the detector, which tracks objects. Arguments of accumulator.launch.py and
detector.launch.py that are not declared here are passed on to both, but for their names.
"""

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction
from launch_ros.actions import Node

from dspdet3d_ros.ros.launch_actions import ACCUMULATOR, DETECTOR, declared, values_of
from dspdet3d_ros.ros.parameters import rgbd_launch


def generate_launch_description() -> LaunchDescription:
    """The arguments, then the two nodes."""
    return LaunchDescription([*declared(rgbd_launch.ARGUMENTS), OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[Node]:
    """Both nodes. An error after a process was started would leave it behind, so both are made before."""
    values = values_of(context, rgbd_launch.ARGUMENTS)
    return [
        ACCUMULATOR.node(context, rgbd_launch.accumulator_values(values)),
        DETECTOR.node(context, rgbd_launch.detector_values(values)),
    ]
