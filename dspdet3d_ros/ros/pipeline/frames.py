"""Transforms between frames, from tf2 at the stamp of a message.

tf2 comes with a ROS installation only, so it is imported only where transforms may be needed.
"""

import time
from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.constants import S_TO_NS
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header

from dspdet3d_ros.errors import text_of
from dspdet3d_ros.ros.pipeline.stamps import RESTART_NS
from dspdet3d_ros.ros.placement import FrameError, Placement

POLL_S = 0.01
# The least time between two log lines on transforms that jump back.
JUMP_LOG_S = 5.0
NO_TF2 = (
    "tf2_ros cannot be imported by this Python; install it (apt install ros-$ROS_DISTRO-tf2-ros-py) and source ROS, or "
)
_WITHOUT = "leave target_frame empty"


class Transforms:
    """Transforms by tf2 between any frames, at the stamp of a message.

    To be made in the executor's thread: Fast DDS can miss endpoints that two threads of a process make at one time.

    Args:
        node: the node that listens to the transforms.
        timeout_s: how long to wait for a transform; `find` is to be called outside the executor's thread.
        without: what to do without tf2.

    Attributes:
        available: whether tf2 is installed.
        buffer: the transforms that are known; only where tf2 is installed.
    """

    def __init__(self, node: Node, timeout_s: float, without: str) -> None:
        self._timeout_s, self._without = timeout_s, without
        self._tf2 = import_tf2()
        self.available = self._tf2 is not None
        if self.available:
            self.buffer = _buffer_class(self._tf2)(node.get_logger())
            self._listener = _listener_class(self._tf2)(self.buffer, node)

    def find(self, target: str, header: Header) -> Placement:
        """The transform of a message with this header to a frame.

        Raises:
            FrameError: there is no transform at the message's stamp; names the frames that there are.
        """
        source = header.frame_id
        if source == target:
            return Placement(header)
        if not source:
            raise FrameError(f"header.frame_id is empty: a frame is needed to reach '{target}'; fill it in")
        if not self.available:
            raise FrameError(f"no transform from '{source}' to '{target}'; {NO_TF2}{self._without}")
        if not (header.stamp.sec or header.stamp.nanosec):
            # For tf2 a time of zero means the latest transform, which is not that of the message.
            raise FrameError(f"header.stamp is zero: a stamp is needed to reach '{target}'; fill it in")
        found = self._lookup(target, source, Time.from_msg(header.stamp))
        shift, turn = found.translation, found.rotation
        transform = (shift.x, shift.y, shift.z), (turn.x, turn.y, turn.z, turn.w)
        return Placement(Header(stamp=header.stamp, frame_id=target), transform)

    def forget(self) -> None:
        """Forgets all transforms, after a jump of time."""
        if self.available:
            self.buffer.clear()

    def close(self) -> None:
        """Stops listening."""
        if self.available:
            self._listener.unregister()

    def _lookup(self, target: str, source: str, stamp: Time) -> Any:
        end = time.monotonic() + self._timeout_s
        while True:
            try:
                return self.buffer.lookup_transform(target, source, stamp).transform
            except self._tf2.TransformException as error:
                if time.monotonic() >= end:
                    reason = text_of(error)
                    known = " ".join(self.buffer.all_frames_as_yaml().split())[:600]
                    raise FrameError(
                        f"no transform from '{source}' to '{target}' within {self._timeout_s:g} s: {reason}; "
                        f"publish it, or use one of the known frames: {known}"
                    ) from None
            time.sleep(POLL_S)


class TargetFrame:
    """Looks up the transforms of clouds to one frame.

    Args:
        node: the node that listens to the transforms.
        frame: name of the target frame.
        timeout_s: see `Transforms`.
    """

    def __init__(self, node: Node, frame: str, timeout_s: float) -> None:
        self._frame, self.transforms = frame, Transforms(node, timeout_s, _WITHOUT)
        if not self.transforms.available:
            node.get_logger().error(f"clouds in another frame than '{frame}' will be refused: {NO_TF2}{_WITHOUT}")

    def find(self, header: Header) -> Placement:
        """The transform of a cloud with this header to the target frame.

        Raises:
            FrameError: see `Transforms.find`.
        """
        return self.transforms.find(self._frame, header)

    def forget(self) -> None:
        """Forgets all transforms, after a jump of time."""
        self.transforms.forget()

    def close(self) -> None:
        """Stops listening."""
        self.transforms.close()


def import_tf2() -> Any:
    """The module tf2_ros, None where it is not installed. The first import takes long."""
    try:
        import tf2_ros
    except ImportError:
        return None
    return tf2_ros


def _listener_class(tf2_ros: Any) -> type:
    """tf2's listener without its destructor.

    The destructor ends the subscriptions, which fails with a traceback if the node is gone, or if ROS was shut down
    while the listener was made. `Transforms.close` ends them, or the node when it is destroyed.
    """

    class Listener(tf2_ros.TransformListener):
        def __del__(self) -> None:
            pass

    return Listener


def _buffer_class(tf2_ros: Any) -> type:
    """tf2's buffer that also forgets earlier transforms if stamps jump back.

    tf2 itself forgets them only if the node's time jumps back, which needs `use_sim_time`. Otherwise it mixes the
    transforms of two runs of a bag, or refuses those of the second run as too old.
    """

    class Buffer(tf2_ros.Buffer):
        def __init__(self, logger: Any) -> None:
            super().__init__()
            self._logger = logger
            # By child frame: several publishers need not agree on the time.
            self._latest_ns: dict[str, int] = {}

        def set_transform(self, transform: TransformStamped, authority: str) -> None:
            """Takes a transform of a moving frame."""
            # Not rclpy's Time, which refuses times before 1970.
            frame, stamp = transform.child_frame_id, transform.header.stamp
            stamp_ns = stamp.sec * S_TO_NS + stamp.nanosec
            back_ns = self._latest_ns.get(frame, stamp_ns) - stamp_ns
            if back_ns > RESTART_NS:
                self._logger.warning(
                    f"the transforms of '{frame}' jump back by {back_ns / 1e9:.3g} s: all earlier ones are forgotten",
                    throttle_duration_sec=JUMP_LOG_S,
                )
                self.clear()
            self._latest_ns[frame] = max(stamp_ns, self._latest_ns.get(frame, stamp_ns))
            super().set_transform(transform, authority)

        def clear(self) -> None:
            """Forgets all transforms but the static ones."""
            self._latest_ns.clear()
            super().clear()

    return Buffer
