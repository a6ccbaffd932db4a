"""A cloud that is published again and again, the detector and RViz: `ros2 launch dspdet3d_ros demo.launch.py`.

It takes the arguments of detector.launch.py as well; those of the input's quality of service are the player's.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dspdet3d_ros.ros.parameters import launch_arguments

PACKAGE = "dspdet3d_ros"
SHARE = Path(get_package_share_directory(PACKAGE))
ARGUMENTS = (*launch_arguments.demo_arguments(SHARE), *launch_arguments.NAMES)
# The player's cloud is latched: the detector gets it whichever of them starts first.
DETECTOR = {"input_reliability": "reliable", "input_durability": "transient_local"}


def generate_launch_description() -> LaunchDescription:
    """The arguments, the detector's launch file, then player and RViz."""
    declared = [DeclareLaunchArgument(argument.name, **argument.declaration) for argument in ARGUMENTS]
    detector = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "detector.launch.py")), launch_arguments=DETECTOR.items()
    )
    return LaunchDescription([*declared, detector, OpaqueFunction(function=_player_and_viewer)])


def _player_and_viewer(context: LaunchContext) -> list[Node]:
    values = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
    sim_time = launch_arguments.sim_time(values)
    common = {
        "namespace": values["namespace"],
        "ros_arguments": ["--log-level", values["log_level"]],
        "additional_env": launch_arguments.large_cloud_environment(),
        "output": "screen",
        "emulate_tty": True,
    }
    player = Node(
        package=PACKAGE,
        executable="cloud_player",
        parameters=[
            {
                "cloud": ParameterValue(values["cloud"], value_type=str),
                "columns": launch_arguments.whole_number(values, "columns"),
                **{name: ParameterValue(values[name], value_type=str) for name in ("up", "unit", "frame_id")},
                "period_s": launch_arguments.seconds(values, "period_s"),
                **sim_time,
            }
        ],
        remappings=[("~/output/points", launch_arguments.input_topic(values))],
        on_exit=Shutdown(reason="the cloud is not published any more"),
        **common,
    )
    viewer = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", values["rviz_config"], "-f", values["frame_id"]],
        parameters=[sim_time] if sim_time else [],
        remappings=launch_arguments.viewer_remappings(values),
        on_exit=Shutdown(reason="RViz was closed"),
        **common,
    )
    return [player, viewer] if launch_arguments.boolean(values, "rviz") else [player]
