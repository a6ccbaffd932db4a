"""The actions that the launch files have in common. Only launch files import this: `launch` comes with ROS only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, PopLaunchConfigurations, PushLaunchConfigurations
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dspdet3d_ros.ros.interface.fastdds import large_cloud_environment
from dspdet3d_ros.ros.parameters import accumulator_launch, launch_arguments
from dspdet3d_ros.ros.parameters.launch_arguments import Argument

PACKAGE = "dspdet3d_ros"
#: The shared folder of the installed package.
SHARE = Path(get_package_share_directory(PACKAGE))


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


@dataclass(frozen=True)
class NodeLaunch:
    """A node of the package that launch files start.

    Attributes:
        executable: the program.
        arguments: all of them, with name, params_file, respawn and respawn_delay.
        parameters, remappings: make those of the node from the texts of the arguments; they raise InputError.
    """

    executable: str
    arguments: Sequence[Argument]
    parameters: Callable[[Mapping[str, str]], Mapping[str, Any]]
    remappings: Callable[[Mapping[str, str]], list[tuple[str, str]]]

    def description(self) -> LaunchDescription:
        """The description that starts this node alone."""
        return LaunchDescription(
            [*declared(self.arguments), OpaqueFunction(function=lambda context: [self.node(context, {})])]
        )

    def node(self, context: LaunchContext, given: Mapping[str, str]) -> Node:
        """The action that starts the node, with all arguments checked. The context stays as it is.

        Args:
            context: has the arguments of the command line.
            given: arguments that replace those.

        Raises:
            InputError: an argument has a value that cannot be used.
        """
        # Two nodes have arguments of the same name with other defaults.
        PushLaunchConfigurations().visit(context)
        context.launch_configurations.update(given)
        for declaration in declared(self.arguments):
            declaration.visit(context)
        values = values_of(context, self.arguments)
        PopLaunchConfigurations().visit(context)
        parameters = {name: parameter(value) for name, value in self.parameters(values).items()}
        file = launch_arguments.parameter_file(values)
        return Node(
            package=PACKAGE,
            executable=self.executable,
            name=values["name"],
            parameters=[file, parameters] if parameters else [file],
            remappings=self.remappings(values),
            respawn=launch_arguments.boolean(values, "respawn"),
            respawn_delay=launch_arguments.seconds(values, "respawn_delay"),
            **common_options(values),
        )


DETECTOR = NodeLaunch(
    executable="detector",
    arguments=launch_arguments.detector_arguments(SHARE),
    parameters=launch_arguments.parameters,
    remappings=launch_arguments.remappings,
)
ACCUMULATOR = NodeLaunch(
    executable="accumulator",
    arguments=accumulator_launch.accumulator_arguments(SHARE),
    parameters=accumulator_launch.accumulator_parameters,
    remappings=accumulator_launch.accumulator_remappings,
)
