"""The clouds that the real node takes, and the reports if none comes.

Where a test needs a cloud that takes long, the detector waits at a gate before it does its work.
"""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from node_topics import HEADER, LogLines, Topics
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.outputs import RESULTS
from dspdet3d_ros.ros.interface.qos import LATCHED
from dspdet3d_ros.ros.interface.topics import DETECTIONS, INPUT, STATS


def test_of_a_burst_the_latest_cloud_is_processed_and_the_dropped_ones_are_counted(start, points, gate):
    topics = Topics(bench := start())
    topics.input.publish(cloud_message(Header(frame_id="first"), points))
    gate.wait()
    for number in range(8):
        topics.input.publish(cloud_message(Header(frame_id=str(number)), points))
        assert bench.spin_until(lambda number=number: bench.figures()["clouds_received"] == str(number + 2))
    gate.open(2)
    assert topics.wait_for(2)
    assert [array.header.frame_id for array in topics.received[DETECTIONS]] == ["first", "7"]
    last = topics.received[STATS][-1]
    assert (last.clouds_received, last.clouds_processed, last.clouds_dropped) == (9, 2, 7)


def test_parameters_and_services_answer_while_a_cloud_is_processed(start, points, gate):
    topics = Topics(bench := start())
    topics.input.publish(cloud_message(HEADER, points))
    gate.wait()
    assert bench.state() == "active"
    assert bench.set(pruning_threshold=0.5).successful
    assert bench.get("pruning_threshold") == 0.5
    gate.open()
    assert topics.wait_for(1)
    assert topics.received[STATS][0].pruning_threshold == 0.125, "the cloud was taken up before the change"
    gate.open()
    assert topics.ask(cloud_message(HEADER, points))[2].pruning_threshold == 0.5


def test_without_subscribers_nothing_is_processed_and_the_latest_cloud_waits(start, points):
    topics = Topics(bench := start(), listen=False)
    for number in range(3):
        topics.input.publish(cloud_message(Header(frame_id=str(number)), points))
        assert bench.spin_until(lambda number=number: bench.figures()["clouds_received"] == str(number + 1))
    assert (bench.figures()["clouds_ignored"], bench.figures()["clouds_waiting"]) == ("2", "1")
    topics.listen()
    assert topics.wait_for(1)
    assert topics.received[DETECTIONS][0].header.frame_id == "2"
    stats = topics.received[STATS][0]
    assert (stats.clouds_received, stats.clouds_processed, stats.clouds_dropped) == (3, 1, 0)


@pytest.mark.parametrize("name", RESULTS)
def test_one_subscriber_of_any_output_is_enough(start, points, name):
    bench = start()
    topics, received = Topics(bench, listen=False), []
    bench.peer.create_subscription(RESULTS[name], f"/dspdet3d/{name}", received.append, 10)
    assert bench.spin_until(lambda: bench.node.subscribers[name])
    topics.input.publish(cloud_message(HEADER, points))
    assert bench.spin_until(lambda: received)


def test_a_publisher_with_less_reliability_is_reported_with_both_policies(start, capfd):
    bench = start(input_reliability="reliable")
    profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    bench.peer.create_publisher(PointCloud2, f"/dspdet3d/{INPUT}", profile)
    log = LogLines(capfd)
    assert bench.spin_until(lambda: log.has("no clouds can be received"))
    assert "asks for reliable, volatile, but /peer offers best_effort, volatile" in log.text
    assert "set input_reliability to auto" in log.text


def test_a_subscriber_that_asks_for_more_is_reported_with_both_policies(start, capfd):
    bench = start()
    bench.peer.create_subscription(Detection3DArray, f"/dspdet3d/{DETECTIONS}", lambda _: None, LATCHED)
    log = LogLines(capfd)
    assert bench.spin_until(lambda: log.has("will receive nothing"))
    assert "this node offers reliable, volatile, but /peer asks for reliable, transient_local" in log.text


def test_a_latched_cloud_that_was_published_before_is_taken_where_that_is_wanted(bench, tiny, points):
    profile = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = bench.peer.create_publisher(PointCloud2, f"/dspdet3d/{INPUT}", profile)
    publisher.publish(cloud_message(HEADER, points))
    received = []
    bench.peer.create_subscription(Detection3DArray, f"/dspdet3d/{DETECTIONS}", received.append, 10)
    wanted = {"input_durability": "transient_local", "input_reliability": "reliable", "autostart": False}
    bench.start(model=tiny.model, checkpoint=tiny.checkpoint, device="cpu", **wanted)
    assert bench.change("configure")
    assert bench.spin_until(lambda: bench.node.subscribers[DETECTIONS])
    assert bench.change("activate")
    assert bench.spin_until(lambda: received)
    assert received[0].header == HEADER
