"""Arguments of the launch files, and the settings of the node that follow from them; does not import `launch`.

launch/*.launch.py only turn this into actions.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dspdet3d_ros.errors import InputError, no_such_file, text_of
from dspdet3d_ros.ros.interface.topics import INPUT, OUTPUTS
from dspdet3d_ros.ros.parameters import player
from dspdet3d_ros.ros.parameters.spec import Spec, coerce, fault
from dspdet3d_ros.ros.parameters.table import NODE_NAME, PARAMETERS

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
BOOLEANS = ("true", "false", "True", "False")
# Of X11 and of Wayland.
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
# Parameters that may be paths of files. No shell replaces the `~` of `checkpoint:=~/weights.pth`.
PATHS = ("model", "checkpoint", "cloud")
_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_LEFT_OUT = "[left out: as in params_file]"


@dataclass(frozen=True)
class Argument:
    """One argument of a launch file.

    Attributes:
        name: as in `ros2 launch … name:=value`.
        default: its value if none is given.
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


#: Names of the node and of its topics.
NAMES = (
    Argument("namespace", "", "namespace of the node"),
    Argument("name", NODE_NAME, "name of the node"),
    Argument("input", "", f"topic of the clouds (sensor_msgs/PointCloud2); ~ is the node; empty: ~/{INPUT}"),
    Argument("output", "", f"prefix of the published topics ({', '.join(map(_short, OUTPUTS))}); empty: ~/output"),
    Argument("use_sim_time", "", f"take the time from /clock, as when a bag is played {_LEFT_OUT}", ("", *BOOLEANS)),
    Argument("log_level", "info", "least severity of what is logged", LOG_LEVELS),
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
            "respawn", "false", "start the process again if it ends by itself, such as one that lost its GPU", BOOLEANS
        ),
        Argument("respawn_delay", "2.0", "seconds until the process is started again"),
    )
    return (*NAMES, *own, *(argument_of(spec) for spec in PARAMETERS))


def demo_arguments(share: Path) -> tuple[Argument, ...]:
    """The arguments that demo.launch.py takes in addition to those of detector.launch.py."""
    return (
        *(Argument(spec.name, str(spec.default), spec.description, spec.choices) for spec in player.PARAMETERS),
        Argument("rviz", "true", "show everything in RViz (package rviz2)", BOOLEANS),
        Argument("rviz_config", str(share / "config" / "rviz" / "detections.rviz"), "RViz configuration file"),
    )


def parameters(values: Mapping[str, str]) -> dict[str, Any]:
    """The node's parameters that were given as arguments, each in the type that the node declares.

    Args:
        values: argument name -> text; an empty text leaves the parameter as the parameter file has it.

    Raises:
        InputError: names the argument, and what was expected.
    """
    given = {spec.name: typed_value(spec, values[spec.name]) for spec in PARAMETERS if values[spec.name]}
    return {**sim_time(values), **given}


def player_parameters(values: Mapping[str, str]) -> dict[str, Any]:
    """The cloud player's parameters, each in the type that it declares.

    Raises:
        InputError: names the argument, and what was expected.
    """
    typed = {spec.name: typed_value(spec, values[spec.name]) for spec in player.PARAMETERS}
    if typed["cloud"]:
        typed["cloud"] = file(values, "cloud")
    return {**typed, **sim_time(values)}


def sim_time(values: Mapping[str, str]) -> dict[str, bool]:
    """The parameter `use_sim_time` if it was given; else a parameter file or the including launch file decides.

    Raises:
        InputError: it is neither true nor false.
    """
    return {"use_sim_time": boolean(values, "use_sim_time")} if values["use_sim_time"] else {}


def remappings(values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Remapping rules: the node's own names of its topics, and the wanted names.

    Raises:
        InputError: name, namespace, input or output is not a valid ROS name.
    """
    _check_names(values)
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


def viewer_obstacle() -> str:
    """Why RViz cannot be shown here, in one line with the remedy; empty if it can."""
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        distribution = os.environ.get("ROS_DISTRO", "$ROS_DISTRO")
        return f"package rviz2 is not installed; sudo apt install ros-{distribution}-rviz2, or rviz:=false"
    if not any(os.environ.get(variable) for variable in DISPLAYS):
        return f"no display ({' and '.join(DISPLAYS)} are not set); start it where there is one, or rviz:=false"
    return ""


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


def file(values: Mapping[str, str], name: str) -> str:
    """Path of the file that an argument names; `~` is the user's home folder.

    Raises:
        InputError: there is no such file.
    """
    path = os.path.expanduser(values[name])
    if not os.path.isfile(path):
        raise no_such_file(path, of=name)
    return path


def parameter_file(values: Mapping[str, str]) -> str:
    """Path of the file with the node's parameters.

    Raises:
        InputError: there is no such file, or it has no parameters of nodes.
    """
    path = file(values, "params_file")
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"params_file: {path}: cannot be read: {text_of(error)}; correct the file") from None
    if not isinstance(content, dict):
        raise InputError(f"params_file: {path}: expected `/**: {{ros__parameters: {{...}}}}`; correct the file")
    return path


def _topics(values: Mapping[str, str]) -> dict[str, str]:
    """The full name of each topic by the node's own name for it."""
    namespace = values["namespace"].strip("/")
    here = f"/{namespace}/" if namespace else "/"
    names = {name: f"{values['name']}/{name}" for name in (INPUT, *OUTPUTS)}
    names.update((own[2:], topic) for own, topic in remappings(values))
    # As in a remapping rule of ROS: `~` is the node's full name.
    names = {own: re.sub("^~(?=/)", values["name"], topic) for own, topic in names.items()}
    return {own: topic if topic.startswith("/") else here + topic for own, topic in names.items()}


def _check_names(values: Mapping[str, str]) -> None:
    """Raises InputError for a name that ROS refuses: a process with that name could not start."""
    topic, allowed = rf"(~?/)?{_WORD}(/{_WORD})*", "letters, digits and _, no digit first"
    rules = (
        ("name", values["name"], _WORD, f"a node name of {allowed}"),
        ("namespace", values["namespace"].strip("/") or "a", rf"{_WORD}(/{_WORD})*", f"words of {allowed}, between /"),
        ("input", values["input"] or "a", topic, f"a topic, as /camera/points or ~/points: words of {allowed}"),
        # A prefix of topics may be the root or the node itself.
        ("output", f"{values['output'].rstrip('/')}/a", topic, f"a prefix, as /objects or ~: words of {allowed}"),
    )
    for name, text, pattern, expected in rules:
        if not re.fullmatch(pattern, text):
            raise InputError(f"{name}:={values[name]}: expected {expected}; correct the argument")


def argument_of(spec: Spec) -> Argument:
    """The argument that sets a parameter."""
    choices = BOOLEANS if spec.kind == "bool" else spec.choices
    allowed = f" ({spec.allowed})" if spec.low is not None else ""
    forms = {"string[]": "; a list such as '[cup, book]'", "double[]": "; a list such as '[-1.0, -1.0, 0.5]'"}
    form = forms.get(spec.kind, "")
    description = f"{spec.description}{allowed}{form} {_LEFT_OUT}"
    return Argument(spec.name, "", description, ("", *choices) if choices else ())


def typed_value(spec: Spec, text: str) -> Any:
    """The value of a parameter that is given as text.

    Raises:
        InputError: the parameter does not allow it.
    """
    if spec.kind == "string":
        value = os.path.expanduser(text) if spec.name in PATHS else text
    else:
        try:
            value = coerce(spec, yaml.safe_load(text))
        except yaml.YAMLError:
            value = text
    complaint = fault(spec, value)
    if complaint:
        raise InputError(complaint)
    # ROS cannot infer the type of an empty list.
    return value if value != [] else [""]
