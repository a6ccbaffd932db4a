"""The actions that the launch files have in common. Only launch files import this: `launch` comes with ROS only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dspdet3d_ros.ros.interface.fastdds import large_cloud_environment
from dspdet3d_ros.ros.parameters import launch_arguments
from dspdet3d_ros.ros.parameters.launch_arguments import Argument

PACKAGE = "dspdet3d_ros"


def declared(arguments: Sequence[Argument]) -> list[DeclareLaunchArgument]:
    """The declarations of arguments."""
    return [DeclareLaunchArgument(argument.name, **argument.declaration) for argument in arguments]


def values_of(context: LaunchContext, arguments: Sequence[Argument]) -> dict[str, str]:
    """The texts that arguments have in a context, by name."""
    return {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in arguments}


def common_options(values: Mapping[str, str]) -> dict[str, Any]:
    """Options of `Node` that all processes of the package have.

    Args:
        values: with namespace and log_level.
    """
    return {
        "namespace": values["namespace"],
        "ros_arguments": ["--log-level", values["log_level"]],
        "additional_env": large_cloud_environment(),
        "output": "screen",
        "emulate_tty": True,
    }


def parameter(value: Any) -> Any:
    """The value of a parameter. A text stays a text, also if it looks like a number."""
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value


def node_description(
    executable: str,
    arguments: Sequence[Argument],
    parameters: Callable[[Mapping[str, str]], Mapping[str, Any]],
    remappings: Callable[[Mapping[str, str]], list[tuple[str, str]]],
) -> LaunchDescription:
    """The description that starts one node.

    Args:
        executable: the program.
        arguments: all of them, with name, params_file, respawn and respawn_delay.
        parameters, remappings: make those of the node from the texts of the arguments; they raise InputError.
    """

    def nodes(context: LaunchContext) -> list[Node]:
        values = values_of(context, arguments)
        given = {name: parameter(value) for name, value in parameters(values).items()}
        file = launch_arguments.parameter_file(values)
        node = Node(
            package=PACKAGE,
            executable=executable,
            name=values["name"],
            parameters=[file, given] if given else [file],
            remappings=remappings(values),
            respawn=launch_arguments.boolean(values, "respawn"),
            respawn_delay=launch_arguments.seconds(values, "respawn_delay"),
            **common_options(values),
        )
        return [node]

    return LaunchDescription([*declared(arguments), OpaqueFunction(function=nodes)])
