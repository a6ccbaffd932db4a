"""The arguments of accumulator.launch.py, and the parameters and remappings that follow. Imports no `launch`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.interface import topics
from dspdet3d_ros.ros.parameters.accumulator_table import NODE_NAME, PARAMETERS
from dspdet3d_ros.ros.parameters.launch_arguments import (
    BOOLEANS,
    LOG_LEVELS,
    Argument,
    argument_of,
    sim_time,
    typed_value,
)

#: Arguments that name topics: the node's own names of them, with the suffix of compressed images.
TOPICS = {
    "depth": ((topics.DEPTH, ""), (topics.DEPTH_COMPRESSED, "/compressedDepth")),
    "colour": ((topics.COLOUR, ""), (topics.COLOUR_COMPRESSED, "/compressed")),
    "camera_info": ((topics.CAMERA_INFO, ""),),
    "colour_camera_info": ((topics.COLOUR_CAMERA_INFO, ""),),
    "pose": ((topics.POSE, ""),),
    "points": ((topics.CLOUD, ""),),
}
_NAME = re.compile(r"(~?/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)


def accumulator_arguments(share: Path) -> tuple[Argument, ...]:
    """All arguments of accumulator.launch.py.

    Args:
        share: the package's share folder.
    """
    return (
        Argument("namespace", "", "namespace of the node"),
        Argument("name", NODE_NAME, "name of the node"),
        Argument("depth", "", "topic of the depth images, raw; compressed ones are taken from its /compressedDepth"),
        Argument("colour", "", "topic of the colour images, raw; compressed ones are taken from its /compressed"),
        Argument("camera_info", "", "topic of the calibration of the depth camera"),
        Argument(
            "colour_camera_info", "", "topic of the calibration of a colour camera that depth is not registered to"
        ),
        Argument("pose", "", "topic of the poses, for pose_source odometry or pose"),
        Argument("points", "", "topic of the published cloud; empty: ~/output/points"),
        Argument("use_sim_time", "", "take the time from /clock, as when a bag is played", ("", *BOOLEANS)),
        Argument("log_level", "info", "least severity of what is logged", LOG_LEVELS),
        Argument("params_file", str(share / "config" / "accumulator.yaml"), "file with the parameters of the node"),
        Argument("respawn", "false", "start the process again if it ends by itself", BOOLEANS),
        Argument("respawn_delay", "2.0", "seconds until the process is started again"),
        *(argument_of(spec) for spec in PARAMETERS),
    )


def accumulator_parameters(values: Mapping[str, str]) -> dict[str, Any]:
    """The node's parameters that were given as arguments, each in the type that the node declares.

    Raises:
        InputError: names the argument, and what was expected.
    """
    given = {spec.name: typed_value(spec, values[spec.name]) for spec in PARAMETERS if values[spec.name]}
    return {**sim_time(values), **given}


def accumulator_remappings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """The node's own names of its topics, and those that they are to have.

    Raises:
        InputError: an argument is no name of a topic.
    """
    rules = []
    for name, own in TOPICS.items():
        topic = values[name]
        if topic and not _NAME.fullmatch(topic):
            raise InputError(f"{name}:={topic}: expected a topic, as /camera/depth/image_raw; correct the argument")
        rules += [(f"~/{one}", f"{topic}{suffix}") for one, suffix in own if topic]
    return rules
