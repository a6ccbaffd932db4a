"""A bag of the demo room, as a robot with a depth camera records it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.geometry import quaternion_of
from dspdet3d_ros.recordings.bags import BagWriter
from dspdet3d_ros.recordings.demo_camera import HEIGHT, WIDTH, View, camera_matrix, views
from dspdet3d_ros.recordings.types import make

WORLD, CAMERA, OPTICAL = "odom", "camera_link", "camera_color_optical_frame"
DEPTH = "/camera/aligned_depth_to_color/image_raw"
DEPTH_INFO = "/camera/aligned_depth_to_color/camera_info"
COLOUR = "/camera/color/image_raw"
COLOUR_INFO = "/camera/color/camera_info"
ODOMETRY, TF, TF_STATIC = "/odom", "/tf", "/tf_static"
#: Of the first message. Zero would mean that there is no stamp.
START_S = 1_700_000_000
#: From optical axes (x right, y down, z forward) to those of the body (x forward, y left, z up).
BODY_FROM_OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])


def record_demo(
    path: Path,
    xyz: np.ndarray,
    rgb: np.ndarray,
    count: int,
    rate_hz: float,
    storage: str = "mcap",
    progress: Callable[[Iterator[View]], Iterator[View]] = lambda frames: frames,
) -> None:
    """Writes the bag: depth, colour, camera_info, odometry and transforms.

    Args:
        path: folder of the bag.
        xyz: (N, 3) points of the room, metres, z up.
        rgb: (N, 3) uint8.
        count: number of images.
        rate_hz: images per second.
        storage: "mcap" or "sqlite3".
        progress: shows how many views are done.

    Raises:
        InputError: the bag cannot be written.
    """
    with BagWriter(path, storage) as bag:
        start_ns = START_S * 10**9
        fixed = _transform(start_ns, CAMERA, OPTICAL, BODY_FROM_OPTICAL)
        bag.write(TF_STATIC, make("tf2_msgs/msg/TFMessage", transforms=[fixed]), start_ns, latched=True)
        for view in progress(views(xyz, rgb, count, rate_hz)):
            for topic, message in messages_of(view):
                bag.write(topic, message, start_ns + round(view.time_s * 1e9))


def messages_of(view: View) -> Iterator[tuple[str, Any]]:
    """The topics and messages of one view, in the order in which a robot publishes them."""
    time_ns = START_S * 10**9 + round(view.time_s * 1e9)
    body = view.pose @ np.linalg.inv(BODY_FROM_OPTICAL)
    transform = _transform(time_ns, WORLD, CAMERA, body)
    yield TF, make("tf2_msgs/msg/TFMessage", transforms=[transform])
    yield ODOMETRY, _odometry(time_ns, body)
    header = _header(time_ns, OPTICAL)
    k = camera_matrix()
    info = make(
        "sensor_msgs/msg/CameraInfo",
        header=header,
        height=HEIGHT,
        width=WIDTH,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([k, np.zeros((3, 1))]).ravel(),
    )
    yield DEPTH_INFO, info
    yield COLOUR_INFO, info
    yield COLOUR, _image(header, view.colour, "rgb8")
    yield DEPTH, _image(header, view.depth_mm, "16UC1")


def _header(time_ns: int, frame: str) -> Any:
    stamp = make("builtin_interfaces/msg/Time", sec=time_ns // 10**9, nanosec=time_ns % 10**9)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame)


def _image(header: Any, pixels: np.ndarray, encoding: str) -> Any:
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels).view(np.uint8).ravel()
    return make(
        "sensor_msgs/msg/Image",
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=len(data) // height,
        data=data,
    )


def _vector(kind: str, values: np.ndarray) -> Any:
    return make(f"geometry_msgs/msg/{kind}", **dict(zip("xyzw", (float(v) for v in values), strict=False)))


def _transform(time_ns: int, parent: str, child: str, pose: np.ndarray) -> Any:
    transform = make(
        "geometry_msgs/msg/Transform",
        translation=_vector("Vector3", pose[:3, 3]),
        rotation=_vector("Quaternion", quaternion_of(pose[:3, :3])),
    )
    return make(
        "geometry_msgs/msg/TransformStamped",
        header=_header(time_ns, parent),
        child_frame_id=child,
        transform=transform,
    )


def _odometry(time_ns: int, body: np.ndarray) -> Any:
    pose = make(
        "geometry_msgs/msg/Pose",
        position=_vector("Point", body[:3, 3]),
        orientation=_vector("Quaternion", quaternion_of(body[:3, :3])),
    )
    with_covariance = make("geometry_msgs/msg/PoseWithCovariance", pose=pose)
    return make("nav_msgs/msg/Odometry", header=_header(time_ns, WORLD), child_frame_id=CAMERA, pose=with_covariance)
