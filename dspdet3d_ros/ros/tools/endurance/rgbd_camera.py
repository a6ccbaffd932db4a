"""A process that publishes RGB-D frames of a moving camera, stops and goes on, and says at its end how many it sent."""

import argparse
import math
import signal
import sys
import time
from array import array as array_of
from dataclasses import replace
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import Point, Pose, Quaternion
from nav_msgs.msg import Odometry
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from dspdet3d_ros.geometry import quaternion_of
from dspdet3d_ros.mapping.frame import RGBDFrame
from dspdet3d_ros.ros.interface import topics
from dspdet3d_ros.ros.interface.qos import OUTPUT
from dspdet3d_ros.ros.tools.endurance.publisher import ACKNOWLEDGED_S, DISCOVERY_S
from dspdet3d_ros.tools.benchmark.accumulator_speed import draw

RCLError = rclpy_implementation.RCLError
OPTICAL, WORLD = "camera_depth_optical_frame", "odom"
_INPUTS = {topics.POSE: Odometry, topics.CAMERA_INFO: CameraInfo, topics.COLOUR: Image, topics.DEPTH: Image}
# The camera moves forwards and back through so many different views.
_VIEWS = 12
# Of so many frames one cannot be used.
_BAD_EVERY = 50


class Camera:
    """Publishers of the inputs of an accumulator.

    Args:
        node: has the publishers.
        accumulator: full name of the accumulator.

    Attributes:
        sent: number of frames.
        lost: number of messages that DDS did not take.
    """

    def __init__(self, node: Node, accumulator: str) -> None:
        self._node = node
        # Drawn first, because that takes seconds.
        self._views = [draw(number, np.random.default_rng(number)) for number in range(_VIEWS)]
        self._publishers = {
            topic: node.create_publisher(kind, f"{accumulator}/{topic}", OUTPUT) for topic, kind in _INPUTS.items()
        }
        self.sent = self.lost = 0

    @property
    def connected(self) -> bool:
        """Whether the accumulator takes depth images."""
        return self._publishers[topics.DEPTH].get_subscription_count() > 0

    def send(self) -> None:
        """Publishes the next frame; some cannot be used: without any depth, or with a pose that is not finite."""
        round_trip = self.sent % (2 * _VIEWS - 2)
        view = self._views[min(round_trip, 2 * _VIEWS - 2 - round_trip)]
        self.sent += 1
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=OPTICAL)
        if self.sent % _BAD_EVERY == 0:
            view = replace(view, depth=0 * view.depth)
        messages = _messages(view, header)
        if self.sent % _BAD_EVERY == _BAD_EVERY // 2:
            messages[topics.POSE].pose.pose.position.x = math.nan
        for topic, message in messages.items():
            try:
                self._publishers[topic].publish(message)
            except RCLError:
                # On a busy machine DDS may have no room for a message; a camera goes on with the next one.
                self.lost += 1

    def finish(self) -> None:
        """Waits until the accumulator has got all."""
        for publisher in self._publishers.values():
            if hasattr(publisher, "wait_for_all_acked"):
                publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=ACKNOWLEDGED_S))


def _messages(view: RGBDFrame, header: Header) -> dict[str, Any]:
    assert view.colour is not None
    camera, (x, y, z) = view.camera, map(float, view.pose[:3, 3])
    turn = map(float, quaternion_of(view.pose[:3, :3]))
    pose = Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(**dict(zip("xyzw", turn, strict=True))))
    odometry = Odometry(header=Header(stamp=header.stamp, frame_id=WORLD), child_frame_id=OPTICAL)
    odometry.pose.pose = pose
    matrix = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    return {
        topics.POSE: odometry,
        topics.CAMERA_INFO: CameraInfo(header=header, width=camera.width, height=camera.height, k=matrix),
        topics.COLOUR: _image(view.colour, "rgb8", header),
        topics.DEPTH: _image(np.round(view.depth * 1000).astype(np.uint16), "16UC1", header),
    }


def _image(array: np.ndarray, encoding: str, header: Header) -> Image:
    height, width = array.shape[:2]
    # rclpy takes this type as it is, and checks every byte of anything else.
    data = array_of("B", np.ascontiguousarray(array).tobytes())
    return Image(header=header, height=height, width=width, encoding=encoding, step=array.nbytes // height, data=data)


def main(argv: list[str] | None = None) -> int:
    """Publishes; prints one number, the frames sent."""
    parser = argparse.ArgumentParser(description="publish RGB-D frames of a room")
    parser.add_argument("accumulator", help="full name of the node")
    parser.add_argument("--hertz", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--on", type=float, default=10.0, help="seconds after which the camera stops")
    parser.add_argument("--off", type=float, default=2.0, help="seconds after which it goes on")
    args = parser.parse_args(argv)
    # However it is ended, it leaves DDS, so that nothing of it stays in shared memory.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    node = rclpy.create_node("camera")
    camera = Camera(node, args.accumulator)
    try:
        _play(camera, args)
        camera.finish()
    except KeyboardInterrupt:
        pass
    print(camera.sent, flush=True)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


def _play(camera: Camera, args: argparse.Namespace) -> None:
    end = time.monotonic() + DISCOVERY_S
    while not camera.connected and time.monotonic() < end:
        time.sleep(0.05)
    start = time.monotonic()
    while (passed := time.monotonic() - start) < args.seconds:
        if passed % (args.on + args.off) > args.on:
            time.sleep(0.05)
            continue
        began = time.monotonic()
        camera.send()
        time.sleep(max(0.0, began + 1 / args.hertz - time.monotonic()))


if __name__ == "__main__":
    sys.exit(main())
