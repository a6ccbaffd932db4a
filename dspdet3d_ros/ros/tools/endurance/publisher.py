"""A process that publishes clouds at a rate and says at its end how many it has sent."""

import argparse
import sys
import time

import numpy as np
import rclpy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.qos import OUTPUT

DISCOVERY_S = 30.0
ACKNOWLEDGED_S = 30.0


def main(argv: list[str] | None = None) -> int:
    """Publishes; prints one number, the clouds sent."""
    parser = argparse.ArgumentParser(description="publish random clouds of the size of a room")
    parser.add_argument("topic")
    parser.add_argument("--hertz", type=float, default=50.0)
    parser.add_argument("--points", type=int, default=500_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args(argv)
    rclpy.init(args=[])
    node = rclpy.create_node("publisher")
    publisher = node.create_publisher(PointCloud2, args.topic, OUTPUT)
    message = cloud_message(Header(frame_id="map"), surfaces(args.points), np.zeros((args.points, 3), np.uint8))
    end = time.monotonic() + DISCOVERY_S
    while not publisher.get_subscription_count() and time.monotonic() < end:
        time.sleep(0.05)
    sent, start = 0, time.monotonic()
    while time.monotonic() - start < args.seconds:
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        sent += 1
        time.sleep(max(0.0, start + sent / args.hertz - time.monotonic()))
    if hasattr(publisher, "wait_for_all_acked"):
        publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=ACKNOWLEDGED_S))
    print(sent, flush=True)
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


def surfaces(points: int) -> np.ndarray:
    """(points, 3) float32 metres: floor and walls of a room of 4 by 4 m, and objects on the floor."""
    rng = np.random.default_rng(0)
    xyz = rng.uniform(0, 4, (points, 3)).astype(np.float32)
    kind = rng.integers(0, 4, points)
    xyz[kind == 0, 2] = 0
    xyz[kind == 1, 0] = 0
    xyz[kind == 2, 1] = 0
    objects = kind == 3
    xyz[objects] = np.floor(xyz[objects]) + 0.5 + rng.uniform(-0.1, 0.1, (int(objects.sum()), 3)).astype(np.float32)
    xyz[objects, 2] = np.abs(xyz[objects, 2] % 0.2)
    return xyz


if __name__ == "__main__":
    sys.exit(main())
