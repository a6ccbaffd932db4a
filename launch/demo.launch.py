"""A cloud that is published again and again, the detector and RViz: `ros2 launch dspdet3d_ros demo.launch.py`.

It takes the arguments of detector.launch.py as well; those of the input's quality of service are the player's.
"""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import IncludeLaunchDescription, LogInfo, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from dspdet3d_ros.ros.launch_actions import PACKAGE, SHARE, common_options, declared, parameter, values_of
from dspdet3d_ros.ros.parameters import launch_arguments

ARGUMENTS = (*launch_arguments.demo_arguments(SHARE), *launch_arguments.NAMES)
# The player's cloud is latched: the detector gets it even if it starts later.
DETECTOR = {"input_reliability": "reliable", "input_durability": "transient_local"}


def generate_launch_description() -> LaunchDescription:
    """The arguments and their check, the detector's launch file, then player and RViz.

    An error after a process was started would leave that process behind: launch ends without it. The detector's launch
    file checks its own arguments before it starts the detector.
    """
    detector = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / "launch" / "detector.launch.py")), launch_arguments=DETECTOR.items()
    )
    return LaunchDescription(
        [*declared(ARGUMENTS), OpaqueFunction(function=_check), detector, OpaqueFunction(function=_player_and_viewer)]
    )


def _check(context: LaunchContext) -> list[LogInfo]:
    """Makes the actions of player and RViz, only to raise what is wrong with their arguments."""
    _player_and_viewer(context)
    values = values_of(context, ARGUMENTS)
    obstacle = launch_arguments.viewer_obstacle() if launch_arguments.boolean(values, "rviz") else ""
    return [LogInfo(msg=f"RViz is not started: {obstacle}")] if obstacle else []


def _player_and_viewer(context: LaunchContext) -> list[Node]:
    values = values_of(context, ARGUMENTS)
    sim_time = launch_arguments.sim_time(values)
    common = common_options(values)
    parameters = launch_arguments.player_parameters(values)
    player = Node(
        package=PACKAGE,
        executable="cloud_player",
        parameters=[{name: parameter(value) for name, value in parameters.items()}],
        remappings=[("~/output/points", launch_arguments.input_topic(values))],
        on_exit=Shutdown(reason="the cloud is not published any more"),
        **common,
    )
    viewer = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", launch_arguments.file(values, "rviz_config"), "-f", values["frame_id"]],
        parameters=[sim_time] if sim_time else [],
        remappings=launch_arguments.viewer_remappings(values),
        on_exit=_after_viewer,
        **common,
    )
    shown = launch_arguments.boolean(values, "rviz") and not launch_arguments.viewer_obstacle()
    return [player, viewer] if shown else [player]


def _after_viewer(event: ProcessExited, context: LaunchContext) -> LaunchDescriptionEntity:
    if event.returncode and not context.is_shutdown:
        return LogInfo(msg=f"RViz has failed (status {event.returncode}); the demo goes on without it")
    return Shutdown(reason="RViz was closed")
