"""What the launch files take, and what that means for the node; does without `launch`.

launch/*.launch.py only turn this into actions.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dspdet3d_ros.defaults import BIN_COLUMNS, COLUMNS_HELP, UNIT_HELP, UNITS, UP_HELP, UPS
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.interface.fastdds import profile_file, profile_variable
from dspdet3d_ros.ros.interface.topics import INPUT, OUTPUTS
from dspdet3d_ros.ros.parameters.table import NODE_NAME, PARAMETERS, Spec, coerce, fault

BOOLEANS = ("true", "false", "True", "False")
_LEFT_OUT = "[left out: as in params_file]"


@dataclass(frozen=True)
class Argument:
    """One argument of a launch file.

    Attributes:
        name: as in `ros2 launch … name:=value`.
        default: its value where nobody gives one.
        description: one sentence, for `ros2 launch … --show-args`.
        choices: the only values allowed; empty: any.
    """

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()

    @property
    def declaration(self) -> dict[str, Any]:
        """The keywords of launch's DeclareLaunchArgument."""
        return {
            "default_value": self.default,
            "description": self.description,
            "choices": list(self.choices) or None,
        }


def _short(topic: str) -> str:
    return topic.rpartition("/")[2]


#: Who the node is and where its topics are.
NAMES = (
    Argument("namespace", "", "namespace of the node"),
    Argument("name", NODE_NAME, "name of the node"),
    Argument("input", "", f"topic of the clouds (sensor_msgs/PointCloud2); empty: ~/{INPUT}"),
    Argument("output", "", f"prefix of the published topics ({', '.join(map(_short, OUTPUTS))}); empty: ~/output"),
    Argument("use_sim_time", "", f"take the time from /clock, as when a bag is played {_LEFT_OUT}", ("", *BOOLEANS)),
    Argument("log_level", "info", "least severity of what is logged", ("debug", "info", "warn", "error", "fatal")),
)


def detector_arguments(share: Path) -> tuple[Argument, ...]:
    """All arguments of detector.launch.py.

    Args:
        share: the package's share folder.
    """
    file = str(share / "config" / "detector.yaml")
    own = (
        Argument("params_file", file, "file with the parameters of the node"),
        Argument(
            "respawn", "false", "start the process anew where it ends by itself, as one that lost its GPU", BOOLEANS
        ),
        Argument("respawn_delay", "2.0", "seconds from its end to its new start"),
    )
    return (*NAMES, *own, *(_of_parameter(spec) for spec in PARAMETERS))


def demo_arguments(share: Path) -> tuple[Argument, ...]:
    """What demo.launch.py takes beside all arguments of detector.launch.py."""
    return (
        Argument("cloud", "", "cloud file (.npz .npy .ply .pcd .bin); empty: the demo scene"),
        Argument("columns", "0", f"{COLUMNS_HELP}; 0: {BIN_COLUMNS}"),
        Argument("up", "z", UP_HELP, UPS),
        Argument("unit", "m", UNIT_HELP, tuple(UNITS)),
        Argument("frame_id", "map", "frame of the cloud and of the view, gravity aligned"),
        Argument("period_s", "5.0", "seconds from one cloud to the next"),
        Argument("rviz", "true", "show everything in RViz (package rviz2)", BOOLEANS),
        Argument("rviz_config", str(share / "config" / "rviz" / "detections.rviz"), "what RViz shows"),
    )


def parameters(values: Mapping[str, str]) -> dict[str, Any]:
    """The node's parameters that were given as arguments, each in the type that the node declares.

    Args:
        values: argument name -> text; an empty text leaves the parameter as the parameter file has it.

    Raises:
        InputError: names the argument, and what was expected.
    """
    given = {spec.name: _typed(spec, values[spec.name]) for spec in PARAMETERS if values[spec.name]}
    return {**sim_time(values), **given}


def sim_time(values: Mapping[str, str]) -> dict[str, bool]:
    """The parameter `use_sim_time` where it was given; else a parameter file or the launch file above decides.

    Raises:
        InputError: it is neither true nor false.
    """
    return {"use_sim_time": boolean(values, "use_sim_time")} if values["use_sim_time"] else {}


def remappings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """The node's own names of its topics, and those that they are to have."""
    rules = [(f"~/{INPUT}", values["input"])] if values["input"] else []
    if values["output"]:
        rules += [(f"~/{name}", f"{values['output'].rstrip('/')}/{_short(name)}") for name in OUTPUTS]
    return rules


def input_topic(values: Mapping[str, str]) -> str:
    """Full name of the topic from which the node takes clouds."""
    return _topics(values)[INPUT]


def viewer_remappings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """The topics of config/rviz/detections.rviz, and those that the node has with these arguments."""
    rules = [(f"/{NODE_NAME}/{own}", topic) for own, topic in _topics(values).items()]
    return [(shown, topic) for shown, topic in rules if shown != topic]


def large_cloud_environment() -> dict[str, str]:
    """Environment variables without which Fast DDS loses large best-effort clouds; none where the user has set them."""
    variable, file = profile_variable(), profile_file()
    return {} if variable in os.environ or file is None else {variable: str(file)}


def boolean(values: Mapping[str, str], name: str) -> bool:
    """The value of an argument that is true or false.

    Raises:
        InputError: it is something else.
    """
    if values[name] not in BOOLEANS:
        raise InputError(f"{name}:={values[name]}: expected true or false; correct the argument")
    return values[name].lower() == "true"


def seconds(values: Mapping[str, str], name: str) -> float:
    """The value of an argument that is a time.

    Raises:
        InputError: it is no number of seconds.
    """
    try:
        value = float(values[name])
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise InputError(f"{name}:={values[name]}: expected a number of seconds; correct the argument")
    return value


def whole_number(values: Mapping[str, str], name: str) -> int:
    """The value of an argument that is a number of something.

    Raises:
        InputError: it is no whole number from 0 on.
    """
    if not (values[name].isascii() and values[name].isdigit() and len(values[name]) < 10):
        raise InputError(f"{name}:={values[name]}: expected a whole number; correct the argument")
    return int(values[name])


def _topics(values: Mapping[str, str]) -> dict[str, str]:
    """The full name of each topic by the node's own name for it."""
    namespace = values["namespace"].strip("/")
    here = f"/{namespace}/" if namespace else "/"
    names = {name: f"{values['name']}/{name}" for name in (INPUT, *OUTPUTS)}
    names.update((own[2:], topic) for own, topic in remappings(values))
    return {own: topic if topic.startswith("/") else here + topic for own, topic in names.items()}


def _of_parameter(spec: Spec) -> Argument:
    choices = BOOLEANS if spec.kind == "bool" else spec.choices
    allowed = f" ({spec.allowed})" if spec.low is not None else ""
    form = "; a list such as '[cup, book]'" if spec.kind == "string[]" else ""
    description = f"{spec.description}{allowed}{form} {_LEFT_OUT}"
    return Argument(spec.name, "", description, ("", *choices) if choices else ())


def _typed(spec: Spec, text: str) -> Any:
    if spec.kind == "string":
        value = text
    else:
        try:
            value = coerce(spec, yaml.safe_load(text))
        except yaml.YAMLError:
            value = text
    complaint = fault(spec, value)
    if complaint:
        raise InputError(f"{spec.name}:={text}: {complaint}")
    # An empty list has no type that ROS could tell.
    return value if value != [] else [""]
