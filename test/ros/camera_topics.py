"""A camera of the test: images, calibrations and poses of `box_scene` for the accumulator."""

import io
import struct
import time

import numpy as np
from box_scene import CAMERA, orbit, render
from builtin_interfaces.msg import Time
from dspdet3d_ros.msg import AccumulatorStats
from frame_folders import quaternion
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from limits import AGAIN_S
from nav_msgs.msg import Odometry
from node_process import values_of
from PIL import Image as Picture
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from dspdet3d_ros.clouds.pointcloud2 import decode
from dspdet3d_ros.ros.interface import topics
from dspdet3d_ros.ros.interface.qos import LATCHED

OPTICAL = "camera_depth_optical_frame"
POSES = orbit(12)
# Forwards and back, again and again: no two neighbours are far apart.
PATH = [*POSES, *POSES[-2:0:-1]]
# How often a bad frame is sent.
TRIES = 6


def time_of(stamp_s):
    return Time(sec=int(stamp_s), nanosec=round((stamp_s - int(stamp_s)) * 1e9))


def header_of(stamp_s, frame=OPTICAL):
    return Header(stamp=time_of(stamp_s), frame_id=frame)


def raw(array, encoding, header):
    height, width = array.shape[:2]
    return Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        step=array.nbytes // height,
        data=np.ascontiguousarray(array).tobytes(),
    )


def png(array):
    out = io.BytesIO()
    Picture.fromarray(array).save(out, "png")
    return out.getvalue()


def jpeg(array):
    out = io.BytesIO()
    Picture.fromarray(array).save(out, "jpeg", quality=95)
    return out.getvalue()


def millimetres(depth):
    return np.round(depth * 1000).astype(np.uint16)


def compressed_depth(depth, header):
    data = struct.pack("<iff", 0, 0.0, 0.0) + png(millimetres(depth))
    return CompressedImage(header=header, format="16UC1; compressedDepth png", data=data)


def info(header, camera=CAMERA):
    k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    return CameraInfo(header=header, width=camera.width, height=camera.height, k=k)


def pose_message(pose):
    x, y, z, w = quaternion(pose[:3, :3])
    position = Point(**dict(zip("xyz", map(float, pose[:3, 3]), strict=True)))
    return Pose(position=position, orientation=Quaternion(x=float(x), y=float(y), z=float(z), w=float(w)))


class CameraTopics:
    """Publishers of a camera that moves along `PATH`, and subscriptions of cloud and statistics, on a `Remote`.

    Attributes:
        clouds: the clouds of the node so far.
        stats: the statistics of the frames in its map so far.
        place: index into the path.
        stamp_s: of the latest frame.
    """

    def __init__(self, remote, pose="odometry", compressed=False, colour=True, info=True):
        node, name, self.remote, self.place, self.stamp_s = remote.node, remote.name, remote, 0, 100.0
        self.compressed, self.clouds, self.stats, self._sent = compressed, [], [], None
        depth = topics.DEPTH_COMPRESSED if compressed else topics.DEPTH
        colour_topic = topics.COLOUR_COMPRESSED if compressed else topics.COLOUR
        kind = CompressedImage if compressed else Image
        self.depth = node.create_publisher(kind, f"{name}/{depth}", 10)
        self.colour = node.create_publisher(kind, f"{name}/{colour_topic}", 10) if colour else None
        self.info = node.create_publisher(CameraInfo, f"{name}/{topics.CAMERA_INFO}", 10) if info else None
        self.pose = node.create_publisher(Odometry if pose == "odometry" else PoseStamped, f"{name}/{topics.POSE}", 10)
        node.create_subscription(PointCloud2, f"{name}/{topics.CLOUD}", self.clouds.append, LATCHED)
        node.create_subscription(AccumulatorStats, f"{name}/{topics.STATS}", self.stats.append, LATCHED)
        for publisher in filter(None, (self.depth, self.colour, self.info, self.pose)):
            remote.until(publisher.get_subscription_count, publisher.topic_name)

    def send(self, *, older_s=None, **changes):
        """Publishes one frame of the present place.

        Args:
            older_s: its stamp is so much older than the latest one; None: it is the next one.
            changes: replace its messages, by name.
        """
        if older_s is None:
            self.stamp_s += 0.1
        stamp_s = self.stamp_s - (older_s or 0.0)
        pose, header, self._sent = PATH[self.place % len(PATH)], header_of(stamp_s), time_of(stamp_s)
        depth, colour = render(pose)
        if self.compressed:
            made = {
                "depth": compressed_depth(depth, header),
                "colour": CompressedImage(header=header, format="rgb8; jpeg compressed bgr8", data=jpeg(colour)),
            }
        else:
            made = {
                "depth": raw(millimetres(depth), "16UC1", header),
                "colour": raw(colour[..., ::-1], "bgr8", header),
            }
        made["info"] = info(header)
        kind = self.pose.msg_type
        moved = kind(header=header_of(stamp_s, "odom"))
        if kind is Odometry:
            moved.child_frame_id, moved.pose.pose = OPTICAL, pose_message(pose)
        else:
            moved.pose = pose_message(pose)
        made["pose"] = moved
        for name in ("pose", "info", "colour", "depth"):
            publisher, message = getattr(self, name), made[name]
            if name in changes:
                message = changes[name](message) if changes[name] else None
            if publisher is not None and message is not None:
                publisher.publish(message)

    @property
    def idle(self):
        """Whether the frame that was sent last is in the map. The node works on frames in order, so none is left."""
        return bool(self.stats) and self.stats[-1].header.stamp == self._sent

    def repeat(self, condition, what, **changes):
        """Sends a frame until a condition holds: again after a while, and at the next place once it is in the map."""
        again_s = 0.0

        def done():
            nonlocal again_s
            if condition():
                return True
            if self.idle or time.monotonic() >= again_s:
                self.place += self.idle
                self.send(**changes)
                again_s = time.monotonic() + AGAIN_S
            return False

        self.remote.until(done, what)

    def stream(self, condition, what, **changes):
        """Sends frames along the path, each when the one before is in the map, until a condition holds then."""
        self.repeat(lambda: self.idle and condition(), what, **changes)

    def settled(self, text=""):
        """Values of good diagnostics, with a text, that count all frames of which the last one was good."""
        self.stream(lambda: True, "a frame in the map")
        health = self.remote.health
        health.clear()

        def agree():
            if not health or health[-1].level != b"\0" or text not in health[-1].message:
                return False
            return self.remote.values()["frames_processed"] == str(self.stats[-1].frames_processed)

        self.remote.until(agree, f"diagnostics of all frames, with '{text}'")
        return self.remote.values()

    def refused(self, says, **sent):
        """Sends one bad frame, which the node refuses for a reason; the values of the diagnostics before and after it.

        Once more, from a new start, where the node has lost one of its messages, or has taken a bad calibration after
        the image, which then was good.
        """
        for _ in range(TRIES):
            before = self.settled()
            self.remote.health.clear()
            self.send(**sent)
            end = time.monotonic() + AGAIN_S

            def refusals():
                return [one for one in self.remote.health if one.level == b"\1" and says in one.message]

            self.remote.until(lambda end=end: refusals() or self.idle or time.monotonic() > end, "an answer")
            if refusals():
                return before, values_of(refusals()[-1])
        raise AssertionError(f"no frame was refused with '{says}'; the last diagnostics are {self.remote.health[-1:]}")

    @property
    def points(self):
        """(N, 3) points and (N, 3) colours of the latest cloud."""
        cloud = decode(self.clouds[-1], with_rgb=True)
        return cloud.xyz, cloud.rgb
