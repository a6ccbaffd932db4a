"""Starts the detector node: `ros2 launch dspdet3d_ros detector.launch.py input:=/camera/points`."""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

PACKAGE = "dspdet3d_ros"
SHARE = Path(get_package_share_directory(PACKAGE))
OUTPUTS = ("detections", "markers", "stats", "label_info")
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

# name: (default, description); what is left empty is taken from the parameter file.
ARGUMENTS = {
    "input": ("", "topic of the clouds (sensor_msgs/PointCloud2); empty: ~/input/points"),
    "output": ("", f"prefix of the published topics ({', '.join(OUTPUTS)}); empty: ~/output"),
    "namespace": ("", "namespace of the node"),
    "params_file": (str(SHARE / "config" / "detector.yaml"), "file with the parameters of the node"),
    "model": ("", "name of a model that comes with the package, or path of a model file (yaml)"),
    "checkpoint": ("", "path of the weights; empty: those that belong to the model"),
    "device": ("", "where the network runs: auto, cpu, cuda or cuda:N"),
    "pruning_threshold": ("", "0..1; more is faster and finds less, 0 prunes nothing"),
    "autostart": ("", "true: the node configures and activates itself; false: it waits for lifecycle transitions"),
    "use_sim_time": ("false", "take the time from /clock, as when a bag is played"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
}


def generate_launch_description() -> LaunchDescription:
    """All arguments of `ARGUMENTS`, then the node."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_detector)])


def _detector(context: LaunchContext) -> list[Node]:
    value = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    node = Node(
        package=PACKAGE,
        executable="detector",
        name="dspdet3d",
        namespace=value["namespace"],
        parameters=[value["params_file"], _parameters(value)],
        remappings=_remappings(value),
        ros_arguments=["--log-level", value["log_level"]],
        additional_env=_large_clouds(),
        output="screen",
        emulate_tty=True,
    )
    return [node]


def _parameters(value: dict[str, str]) -> dict[str, object]:
    """The parameters that were given as arguments, each in the type that the node declares."""
    parameters: dict[str, object] = {"use_sim_time": _boolean("use_sim_time", value["use_sim_time"])}
    for name in ("model", "checkpoint", "device"):
        if value[name]:
            parameters[name] = ParameterValue(value[name], value_type=str)
    if value["pruning_threshold"]:
        parameters["pruning_threshold"] = _number("pruning_threshold", value["pruning_threshold"])
    if value["autostart"]:
        parameters["autostart"] = _boolean("autostart", value["autostart"])
    return parameters


def _remappings(value: dict[str, str]) -> list[tuple[str, str]]:
    remappings = [("~/input/points", value["input"])] if value["input"] else []
    if value["output"]:
        prefix = value["output"].rstrip("/")
        remappings += [(f"~/output/{name}", f"{prefix}/{name}") for name in OUTPUTS]
    return remappings


def _large_clouds() -> dict[str, str]:
    """The profile without which Fast DDS loses large best-effort clouds, unless the user has one."""
    old_name = os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")
    variable = "FASTRTPS_DEFAULT_PROFILES_FILE" if old_name else "FASTDDS_DEFAULT_PROFILES_FILE"
    return {} if variable in os.environ else {variable: str(SHARE / "config" / "fastdds_large_clouds.xml")}


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in BOOLEANS:
        raise ValueError(f"{name}:={text}: true or false expected")
    return BOOLEANS[text.lower()]


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name}:={text}: a number expected") from None
