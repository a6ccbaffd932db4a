"""A best-effort cloud of 32 MB, which Fast DDS loses with its defaults, arrives with the profile of config/."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from limits import WAIT_S
from own_domain import DOMAIN

PROFILE = Path(__file__).resolve().parents[2] / "config" / "fastdds_large_clouds.xml"
SIZE = 32_000_000
# Publishes until the test ends it; a cloud is an array of bytes to the transport.
PUBLISHER = f"""
import array, rclpy
from sensor_msgs.msg import PointCloud2
from rclpy.qos import qos_profile_sensor_data
rclpy.init()
node = rclpy.create_node("publisher")
publisher = node.create_publisher(PointCloud2, "cloud", qos_profile_sensor_data)
message = PointCloud2(data=array.array("B", bytes({SIZE})))
node.create_timer(0.3, lambda: publisher.publish(message))
rclpy.spin(node)
"""
SUBSCRIBER = """
import rclpy
from sensor_msgs.msg import PointCloud2
from rclpy.qos import qos_profile_sensor_data
rclpy.init()
node = rclpy.create_node("subscriber")
sizes = []
node.create_subscription(PointCloud2, "cloud", lambda message: sizes.append(len(message.data)), qos_profile_sensor_data)
while len(sizes) < 3:
    rclpy.spin_once(node)
print(*sizes)
"""


def test_large_best_effort_clouds_arrive():
    pytest.importorskip("rclpy", reason="needs ROS 2")
    pytest.importorskip("sensor_msgs.msg", reason="needs ROS 2")
    environment = os.environ | {
        "FASTDDS_DEFAULT_PROFILES_FILE": str(PROFILE),
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": str(DOMAIN),
    }
    if os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy"):
        environment["FASTRTPS_DEFAULT_PROFILES_FILE"] = environment.pop("FASTDDS_DEFAULT_PROFILES_FILE")
    publisher = subprocess.Popen([sys.executable, "-c", PUBLISHER], env=environment)
    try:
        subscriber = subprocess.run(
            [sys.executable, "-c", SUBSCRIBER], env=environment, capture_output=True, text=True, timeout=WAIT_S
        )
    finally:
        publisher.kill()
        publisher.wait()
    assert subscriber.stdout.split() == [str(SIZE)] * 3, subscriber.stderr
