"""Depth camera and poses in, objects out: `ros2 launch dspdet3d_ros rgbd.launch.py world_frame:=odom`.

It starts the accumulator and the detector, which tracks objects. Arguments of accumulator.launch.py and
detector.launch.py that are not declared here are passed on to both.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource

from dspdet3d_ros.ros.launch_actions import PACKAGE, declared, values_of
from dspdet3d_ros.ros.parameters import rgbd_launch

SHARE = Path(get_package_share_directory(PACKAGE))


def generate_launch_description() -> LaunchDescription:
    """The arguments, then the two launch files."""
    return LaunchDescription([*declared(rgbd_launch.ARGUMENTS), OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[IncludeLaunchDescription]:
    values = values_of(context, rgbd_launch.ARGUMENTS)
    accumulator, detector = rgbd_launch.accumulator_values(values), rgbd_launch.detector_values(values)
    return [_included("accumulator.launch.py", accumulator), _included("detector.launch.py", detector)]


def _included(file: str, values: dict[str, str]) -> IncludeLaunchDescription:
    source = PythonLaunchDescriptionSource(str(SHARE / "launch" / file))
    return IncludeLaunchDescription(source, launch_arguments=values.items())
