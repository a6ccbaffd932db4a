"""The parameters of the accumulator as one table; config/accumulator.yaml and docs/accumulator.md follow from it.

This module needs no ROS.
"""

from dataclasses import dataclass, fields
from typing import Any

from dspdet3d_ros.defaults import MAP_THREADS
from dspdet3d_ros.mapping.map_settings import DESCRIPTIONS, RANGES, MapSettings
from dspdet3d_ros.ros.parameters.spec import Spec

NODE_NAME = "accumulator"
_KINDS = {bool: "bool", int: "integer", float: "double"}


def _of_map(name: str, default: Any) -> Spec:
    allowed = RANGES.get(name)
    low, high = (allowed.least, allowed.most) if allowed else (None, None)
    return Spec(name, _KINDS[type(default)], default, DESCRIPTIONS[name], live=True, low=low, high=high)


@dataclass(frozen=True)
class AccumulatorSettings:
    """The live parameters as one object.

    Attributes:
        map: settings of the map.
        publish_rate_hz: see the table; likewise the others.
        sync_tolerance_s: seconds.
        use_colour: whether colour images are used.
        depth_units_per_metre: of 16-bit depth images.
        save_path: file of the service ~/save.
        watchdog_timeout_s: seconds.
    """

    map: MapSettings
    publish_rate_hz: float
    sync_tolerance_s: float
    use_colour: bool
    depth_units_per_metre: float
    save_path: str
    watchdog_timeout_s: float


PARAMETERS = (
    Spec("device", "string", "cpu", "device of the map: cpu, cuda, cuda:N or auto (CUDA if there is one)"),
    Spec("threads", "integer", MAP_THREADS, "number of CPU threads of the map; 0: torch's choice", low=0, high=1024),
    Spec("autostart", "bool", True, "the node configures and activates itself when it starts"),
    Spec(
        "input_reliability",
        "string",
        "auto",
        "reliability of the subscriptions of images; auto: reliable if all publishers are, else best_effort",
        choices=("auto", "best_effort", "reliable"),
    ),
    Spec(
        "pose_source",
        "string",
        "tf",
        "where the pose of the camera comes from: tf (transform from the depth image's frame to world_frame), odometry "
        "(nav_msgs/Odometry on ~/input/pose) or pose (geometry_msgs/PoseStamped on ~/input/pose)",
        choices=("tf", "odometry", "pose"),
    ),
    Spec("world_frame", "string", "map", "gravity-aligned frame of the map, for pose_source tf"),
    Spec(
        "camera_mount",
        "string",
        "",
        "pose of the camera's optical frame in the frame that odometry or pose moves: 'x y z qx qy qz qw'; empty: from "
        "tf, if the frames differ",
    ),
    Spec("tf_timeout_s", "double", 0.2, "how long a frame waits for its pose", low=0, high=60),
    Spec(
        "use_colour",
        "bool",
        True,
        "wait for the colour image of each depth image, if somebody publishes colour images",
        live=True,
    ),
    Spec(
        "sync_tolerance_s",
        "double",
        0.02,
        "largest difference between the stamps of depth image, colour image and pose message",
        live=True,
        low=0,
        high=10,
    ),
    Spec(
        "depth_units_per_metre",
        "double",
        1000.0,
        "unit of 16-bit depth images: 1000 for millimetres",
        live=True,
        low=1,
        high=1_000_000,
    ),
    Spec("publish_rate_hz", "double", 1.0, "how often the cloud is published at most", live=True, low=0.01, high=100),
    Spec(
        "save_path",
        "string",
        "accumulated.ply",
        "file that the service ~/save writes: .ply, .pcd or .npz",
        live=True,
    ),
    Spec(
        "watchdog_timeout_s",
        "double",
        60.0,
        "the node stops itself with an error if one frame takes longer than this; 0: never",
        live=True,
        low=0,
        high=86_400,
    ),
    *(_of_map(field.name, field.default) for field in fields(MapSettings)),
)
MAP_FIELDS = tuple(field.name for field in fields(MapSettings))
