"""The pose of the camera at a stamp: from tf2, nav_msgs/Odometry or geometry_msgs/PoseStamped."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from dspdet3d_ros.mapping.frame import FrameRefused, pose_from_quaternion
from dspdet3d_ros.mapping.trajectory import Trajectory
from dspdet3d_ros.ros.pipeline.frames import NO_TF2, Transforms
from dspdet3d_ros.ros.pipeline.stamps import RESTART_NS
from dspdet3d_ros.ros.placement import FrameError

SOURCES = ("tf", "odometry", "pose")
TYPES = {"odometry": Odometry, "pose": PoseStamped}
_POLL_S = 0.005
# Poses that are kept: more than ten seconds at 200 Hz.
_KEPT = 4096
_BEST_EFFORT = QoSProfile(depth=200, reliability=ReliabilityPolicy.BEST_EFFORT)
_NO_TF2 = "publish the pose of the camera's optical frame itself, or set camera_mount"


class Frames(Transforms):
    """Transforms as 4×4 matrices.

    Args:
        node, timeout_s: see `Transforms`.
    """

    def __init__(self, node: Node, timeout_s: float) -> None:
        super().__init__(node, timeout_s, _NO_TF2)

    def matrix(self, target: str, header: Header) -> np.ndarray:
        """(4, 4) transform from the header's frame to a frame, at the header's stamp.

        Raises:
            FrameRefused: kind "transform" or "pose".
        """
        try:
            placement = self.find(target, header)
        except FrameError as error:
            raise FrameRefused("transform", str(error)) from error
        if placement.transform is None:
            return np.eye(4)
        return pose_from_quaternion(*placement.transform, f"transform from '{header.frame_id}' to '{target}'")


class CameraPoses:
    """The poses of the camera.

    Args:
        node: the subscribing node.
        source: one of `SOURCES`.
        topic: of the poses, for other sources than "tf".
        world_frame: frame of the map, for "tf"; for others that of the messages is used.
        mount: (4, 4) pose of the optical frame in the frame that the messages move; None: from tf2 if they differ.
        timeout_s: how long a pose is waited for.
        frames: transforms by tf2.

    Attributes:
        frame: of the map; empty until it is known.
        received: number of pose messages.
    """

    def __init__(
        self,
        node: Node,
        source: str,
        topic: str,
        world_frame: str,
        mount: np.ndarray | None,
        timeout_s: float,
        frames: Frames,
    ) -> None:
        self._node, self._source, self._mount, self._timeout_s, self._frames = node, source, mount, timeout_s, frames
        self.topic = node.resolve_topic_name(topic)
        self.frame = world_frame if source == "tf" else ""
        self.received = 0
        self._moving = ""
        self._lock = threading.Lock()
        self._trajectory = Trajectory(_KEPT)
        self._refused: FrameRefused | None = None
        self._subscription: Any = None
        if source != "tf":
            self._subscription = node.create_subscription(TYPES[source], topic, self._take, _BEST_EFFORT)
        elif not frames.available:
            node.get_logger().error(f"there are no poses, since pose_source is tf: {NO_TF2}{_NO_TF2}")

    def close(self) -> None:
        """Ends the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def forget(self) -> None:
        """Forgets all poses."""
        with self._lock:
            self._trajectory.clear()

    def at(self, header: Header, tolerance_s: float) -> np.ndarray:
        """(4, 4) camera → world at the stamp of an image. Waits for it, outside the executor's thread.

        Args:
            header: of the depth image.
            tolerance_s: maximum distance to the nearest pose message.

        Raises:
            FrameRefused: kind "pose" or "transform".
        """
        if self._source == "tf":
            return self._frames.matrix(self.frame, header)
        stamp_s = header.stamp.sec + header.stamp.nanosec * 1e-9
        end = time.monotonic() + self._timeout_s
        while True:
            with self._lock:
                last = self._trajectory.last_stamp
                if (last is not None and last >= stamp_s) or time.monotonic() >= end:
                    return self._found(stamp_s, tolerance_s) @ self._mounted(header)
            time.sleep(_POLL_S)

    def _found(self, stamp_s: float, tolerance_s: float) -> np.ndarray:
        try:
            return self._trajectory.at(stamp_s, tolerance_s)
        except FrameRefused as refusal:
            if self._refused is not None:
                # The poses come, but they cannot be used. Raised as a new error: one that is raised often grows.
                raise FrameRefused(self._refused.kind, str(self._refused)) from None
            raise FrameRefused(refusal.kind, f"{refusal} ({self.topic})") from None

    def _mounted(self, header: Header) -> np.ndarray:
        if self._mount is not None:
            return self._mount
        if not self._moving or self._moving == header.frame_id:
            return np.eye(4)
        return self._frames.matrix(self._moving, header)

    def _take(self, message: Any) -> None:
        self.received += 1
        pose = message.pose.pose if self._source == "odometry" else message.pose
        stamp_s = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        p, q = pose.position, pose.orientation
        try:
            matrix = pose_from_quaternion((p.x, p.y, p.z), (q.x, q.y, q.z, q.w), f"pose on {self.topic}")
        except FrameRefused as refusal:
            self._refused = refusal
            return
        self._refused = None
        self.frame = message.header.frame_id or self.frame
        self._moving = getattr(message, "child_frame_id", "")
        if self._source == "odometry" and not self._moving and self._mount is None:
            self._node.get_logger().warning(
                f"the odometry on {self.topic} has no child_frame_id: its pose is taken for that of the optical frame "
                "(z forward); if it is not, set camera_mount",
                once=True,
            )
        with self._lock:
            last = self._trajectory.last_stamp
            if last is not None and last - stamp_s > RESTART_NS * 1e-9:
                self._trajectory.clear()
            self._trajectory.add(stamp_s, matrix)


def mount_of(text: str) -> np.ndarray | None:
    """(4, 4) of the parameter camera_mount: "x y z qx qy qz qw"; None if it is empty.

    Raises:
        FrameRefused: it has other content.
    """
    words = text.replace(",", " ").split()
    if not words:
        return None
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != 7:
        raise FrameRefused("pose", f"camera_mount: expected 'x y z qx qy qz qw', got '{text}'")
    return pose_from_quaternion(numbers[:3], numbers[3:], "camera_mount")
