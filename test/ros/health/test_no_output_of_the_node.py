"""The real node, in a process of its own, says in its log and in /diagnostics why nothing is published."""

import contextlib
import os
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("torch")

import numpy as np
from builtin_interfaces.msg import Time
from node_process import FAULTY_NODE, Process, Remote
from node_topics import BEST_EFFORT
from own_domain import DOMAIN
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dspdet3d_ros.ros.faults import Level
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.topics import DETECTIONS

HEADER = Header(frame_id="camera")
TOPIC = "/robot/cloud"
# Where the node itself publishes clouds.
OWN = "/found/object_points"
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
# Publishes large best-effort clouds until it is ended.
LARGE = f"""
import array, rclpy
from sensor_msgs.msg import PointCloud2
from rclpy.qos import qos_profile_sensor_data
rclpy.init()
node = rclpy.create_node("large")
publisher = node.create_publisher(PointCloud2, "{TOPIC}", qos_profile_sensor_data)
message = PointCloud2(data=array.array("B", bytes(8_000_000)))
node.create_timer(0.1, lambda: publisher.publish(message))
rclpy.spin(node)
"""


@pytest.fixture(scope="module")
def environment():
    """Without a profile for Fast DDS, so that large clouds are lost."""
    return {name: value for name, value in os.environ.items() if name not in PROFILES}


@pytest.fixture(scope="module")
def process(tiny, environment):
    remap = [*FAULTY_NODE, "--ros-args", "-r", f"~/input/points:={TOPIC}", "-r", f"~/output/object_points:={OWN}"]
    process = Process(tiny, remap, environment=environment, autostart=False)
    yield process
    process.close()


@pytest.fixture(scope="module")
def remote(process):
    remote = Remote()
    yield remote
    remote.close()


@pytest.fixture
def reported(process, remote):
    """Waits until /diagnostics and the log give a reason; returns the log's line."""

    def reported(text, level):
        remote.healthy(level, text)
        # Each reason is logged once. A busy machine may have shown this one before.
        return process.wait_until_logged(text)

    return reported


@contextlib.contextmanager
def publishing(remote, message=None, profile=10):
    """A publisher of clouds, which sends one several times a second while the remote spins."""
    publisher = remote.node.create_publisher(PointCloud2, TOPIC, profile)
    timer = remote.node.create_timer(0.2, lambda: publisher.publish(message)) if message else None
    try:
        yield
    finally:
        if timer:
            remote.node.destroy_timer(timer)
        remote.node.destroy_publisher(publisher)


def start_anew(remote, **parameters):
    """Takes the node down, sets start-up parameters, and brings it up."""
    steps = {"active": ["deactivate", "cleanup"], "inactive": ["cleanup"]}.get(remote.state(), [])
    assert all(remote.change(label) for label in steps)
    if parameters:
        assert remote.set(**parameters).successful
    assert remote.change("configure")
    assert remote.change("activate")


def test_a_node_that_is_not_active_says_how_to_activate_it(remote, reported):
    reported("nothing is published: the node is unconfigured: run `ros2 lifecycle set /dspdet3d configure`", Level.OK)
    assert remote.change("configure")
    reported("nothing is published: the node is inactive: run `ros2 lifecycle set /dspdet3d activate`", Level.OK)


def test_a_topic_without_publisher_is_named_with_those_that_have_clouds(remote, reported):
    other = remote.node.create_publisher(PointCloud2, "/other/cloud", 10)
    start_anew(remote)
    line = reported(f"nothing is published: nobody publishes {TOPIC}; remap it", Level.WARN)
    # /dspdet3d/input/points has the remote's publisher, which the remapped node does not hear.
    assert "/other/cloud" in line
    assert OWN not in line
    remote.node.destroy_publisher(other)


def test_a_publisher_that_sends_nothing_is_named(remote, reported):
    start_anew(remote)
    with publishing(remote):
        line = reported(f"nothing is published: /peer is connected to {TOPIC} (reliable, volatile)", Level.WARN)
    assert f"ros2 topic hz {TOPIC}" in line


def test_policies_that_do_not_fit_are_named_on_both_sides(remote, process):
    start_anew(remote, input_reliability="reliable")
    with publishing(remote, profile=BEST_EFFORT):
        remote.healthy(Level.WARN, "this node asks for reliable, volatile, but /peer offers best_effort, volatile")
        # Where the machine is slow, the log has the line before the name of the publisher is known.
        line = process.wait_for("this node asks for reliable, volatile, but ")
    assert "offers best_effort, volatile; set input_reliability to auto" in line
    start_anew(remote, input_reliability="auto")


def test_large_clouds_that_are_lost_are_reported_with_the_remedy(remote, reported, environment):
    if "fastrtps" not in os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp"):
        pytest.skip("only Fast DDS loses large clouds")
    start_anew(remote)
    domain = {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    publisher = subprocess.Popen([sys.executable, "-c", LARGE], env={**environment, **domain})
    try:
        line = reported(f"clouds of /large on {TOPIC} are lost on their way", Level.WARN)
    finally:
        publisher.kill()
        publisher.wait()
    assert "publish reliably, with input_reliability auto or reliable here" in line
    assert "fastdds_large_clouds.xml" in line


def test_a_cloud_that_cannot_reach_the_target_frame_is_reported(remote, reported, points):
    start_anew(remote, target_frame="map")
    # tf2, if it is installed, needs a stamp.
    with publishing(remote, cloud_message(Header(stamp=Time(sec=1), frame_id="camera"), points)):
        reported("'camera' to 'map'", Level.WARN)
    start_anew(remote, target_frame="")


def test_clouds_that_nobody_wants_boxes_of_are_reported(remote, reported, points):
    for subscription in [s for s in remote.node.subscriptions if "/output/" in s.topic_name]:
        remote.node.destroy_subscription(subscription)
    start_anew(remote)
    with publishing(remote, cloud_message(HEADER, points)):
        reported("nothing is published: nobody subscribes to an output of /dspdet3d", Level.OK)
    remote.node.create_subscription(Detection3DArray, f"/dspdet3d/{DETECTIONS}", remote.received[DETECTIONS].append, 10)


def test_what_leaves_no_box_is_reported_with_the_scores(remote, reported, points):
    start_anew(remote)
    with publishing(remote, cloud_message(HEADER, np.full((9, 3), np.nan))):
        reported("no boxes: none of the 9 points of a cloud is finite", Level.WARN)
    with publishing(remote, cloud_message(HEADER, points)):
        found = remote.received[DETECTIONS]
        remote.until(lambda: found and found[-1].detections, "boxes")
        best = found[-1].detections[0].results[0].hypothesis
        assert remote.set(score_threshold=1.0, pruning_threshold=0.0).successful
        reported(f"'{best.class_id}' with a score of {best.score:.2g}, score_threshold is 1; ", Level.OK)
        assert remote.set(pruning_threshold=1.0).successful
        reported("no boxes: pruning_threshold 1 leaves no cell of level 3", Level.OK)
        others = [name for name in ("cup", "book", "plant") if name != best.class_id]
        for name in others:
            assert remote.set(class_filter=[name], score_threshold=0.0, pruning_threshold=0.0).successful
            found.clear()
            remote.until(lambda name=name: found and only(found[-1], name), name)
            score = found[-1].detections[0].results[0].hypothesis.score
            if score < best.score:
                break
        else:
            pytest.fail("the classes have equal scores")
        assert remote.set(score_threshold=(score + best.score) / 2).successful
        reported(f"class of class_filter ({name}); the best one is '{best.class_id}'", Level.OK)
        assert remote.set(score_threshold=0.0, class_filter=[""]).successful
        remote.healthy(Level.OK, "active")


def only(array, name):
    """Whether there are boxes, all of one class."""
    return {d.results[0].hypothesis.class_id for d in array.detections} == {name}


def test_a_cloud_that_takes_long_is_reported_with_the_device(remote, process, reported, points):
    start_anew(remote)
    process.pull("hang")
    with publishing(remote, cloud_message(HEADER, points)):
        reported("nothing is published yet: the first cloud is being processed, on cpu", Level.OK)
