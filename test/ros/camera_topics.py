"""A camera of the test: images, calibrations and poses of `box_scene` for the accumulator."""

import io
import struct

import numpy as np
from box_scene import CAMERA, render
from builtin_interfaces.msg import Time
from frame_folders import quaternion
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from nav_msgs.msg import Odometry
from PIL import Image as Picture
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from dspdet3d_ros.clouds.pointcloud2 import decode
from dspdet3d_ros.ros.interface import topics

OPTICAL = "camera_depth_optical_frame"


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
    """Publishers of a camera and a subscription of the cloud, on the node of a `Remote`."""

    def __init__(self, remote, pose="odometry", compressed=False, colour=True, info=True):
        node, name, self.remote, self.stamp_s = remote.node, remote.name, remote, 100.0
        self.compressed, self.clouds = compressed, []
        depth = topics.DEPTH_COMPRESSED if compressed else topics.DEPTH
        colour_topic = topics.COLOUR_COMPRESSED if compressed else topics.COLOUR
        kind = CompressedImage if compressed else Image
        self.depth = node.create_publisher(kind, f"{name}/{depth}", 10)
        self.colour = node.create_publisher(kind, f"{name}/{colour_topic}", 10) if colour else None
        self.info = node.create_publisher(CameraInfo, f"{name}/{topics.CAMERA_INFO}", 10) if info else None
        self.pose = node.create_publisher(Odometry if pose == "odometry" else PoseStamped, f"{name}/{topics.POSE}", 10)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(PointCloud2, f"{name}/{topics.CLOUD}", self.clouds.append, latched)
        for publisher in filter(None, (self.depth, self.colour, self.info, self.pose)):
            remote.until(publisher.get_subscription_count, publisher.topic_name)

    def send(self, pose, /, box=True, **changes):
        """Publishes one frame at the next stamp; changes replace its messages, by name."""
        self.stamp_s += 0.1
        header = header_of(self.stamp_s)
        depth, colour = render(pose, box=box)
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
        moved = kind(header=header_of(self.stamp_s, "odom"))
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

    def stream(self, poses, condition, what):
        """Sends frames, forwards and back, until a condition holds."""
        poses = [*poses, *poses[-2:0:-1]]
        sent = 0

        def done():
            nonlocal sent
            if condition():
                return True
            self.send(poses[sent % len(poses)])
            sent += 1
            return False

        self.remote.until(done, what)

    @property
    def points(self):
        """(N, 3) points and (N, 3) colours of the latest cloud."""
        cloud = decode(self.clouds[-1], with_rgb=True)
        return cloud.xyz, cloud.rgb
