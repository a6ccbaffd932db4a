"""~/detect of the real node, called from another process: one cloud, one answer, while the stream goes on."""

import math

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import numpy as np
from dspdet3d_ros.srv import Detect
from node_process import Process, Remote
from node_topics import HEADER, boxes_of
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from dspdet3d_ros.ros.interface.messages import cloud_message


@pytest.fixture(scope="module")
def process(tiny):
    with Process(tiny, input_reliability="reliable") as process:
        process.wait_for("active: taking clouds")
        yield process


@pytest.fixture(scope="module")
def silent(process):
    """A node that subscribes to no output."""
    with Remote(outputs=()) as remote:
        remote.until(remote.input.get_subscription_count, "the node's subscription")
        yield remote


def ask(remote, cloud=None, **thresholds):
    request = Detect.Request(cloud=cloud or PointCloud2(), **thresholds)
    return remote.call(Detect, "detect", request)


def test_without_a_cloud_there_is_a_reason_and_then_the_latest_one_is_taken(process, silent, points):
    first = ask(silent)
    assert not first.success
    assert first.message.startswith("no cloud was received so far; send one with the request")
    taken = f"took a cloud of {len(points)} points"
    silent.send(cloud_message(Header(frame_id="latest"), points), lambda: process.has(taken), taken)
    answer = ask(silent)
    assert answer.success, answer.message
    assert answer.detections.header.frame_id == "latest"
    assert answer.stats.points_in == len(points)
    # Nobody subscribes: the cloud still waits for somebody.
    assert answer.stats.clouds_processed == 0
    assert len(answer.detections.detections) > 0


def test_the_answer_is_that_of_the_stream_which_goes_on(process, points):
    message = cloud_message(HEADER, points)
    with Remote() as remote:
        remote.connect()
        array, _, stats = remote.ask(message)
        answer = ask(remote, cloud_message(Header(frame_id="other"), points))
        assert answer.success
        np.testing.assert_array_equal(boxes_of(answer.detections), boxes_of(array))
        assert answer.detections.header.frame_id == "other"
        assert answer.stats.pruning_threshold == stats.pruning_threshold == 0.125
        later = remote.ask(message)[2]
        assert later.clouds_processed - stats.clouds_processed == later.clouds_received - stats.clouds_received
        assert (later.clouds_dropped, later.clouds_refused) == (stats.clouds_dropped, stats.clouds_refused)
        assert "other" not in {array.header.frame_id for array in remote.received["output/detections"]}


def test_thresholds_of_a_request_are_its_own(process, silent, points):
    cloud = cloud_message(HEADER, points)
    own = ask(silent, cloud, pruning_threshold=math.nan, score_threshold=-5.0)
    assert own.stats.pruning_threshold == 0.125
    changed = ask(silent, cloud, pruning_threshold=1.0)
    assert changed.stats.pruning_threshold == 1.0
    none = ask(silent, cloud, score_threshold=1.0, pruning_threshold=0.0)
    assert none.success
    assert none.detections.detections == []
    assert "score_threshold is 1" in none.message
    assert ask(silent, cloud).stats.pruning_threshold == 0.125


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"pruning_threshold": 1.5}, "pruning_threshold: expected a number in 0..1, got 1.5; a negative number"),
        ({"score_threshold": math.inf}, "score_threshold: expected a number in 0..1, got inf"),
        ({"point_step": 3}, "point_step"),
        ({"stamp": -1}, "header.stamp.sec is -1"),
    ],
)
def test_a_request_that_cannot_be_is_refused_by_name(process, silent, points, change, text):
    cloud = cloud_message(HEADER, points)
    if "point_step" in change:
        cloud.point_step = change.pop("point_step")
    if "stamp" in change:
        cloud.header = Header(frame_id="map")
        cloud.header.stamp.sec = change.pop("stamp")
    answer = ask(silent, cloud, **change)
    assert not answer.success
    assert text in answer.message
    assert ask(silent, cloud_message(HEADER, points)).success


def test_a_node_that_is_not_active_says_so(process, silent, points):
    assert silent.change("deactivate")
    answer = ask(silent, cloud_message(HEADER, points))
    assert not answer.success
    assert answer.message == "the node is inactive: run `ros2 lifecycle set /dspdet3d activate`"
    assert silent.change("cleanup")
    assert "run `ros2 lifecycle set /dspdet3d configure` and" in ask(silent).message
    assert silent.change("configure")
    assert silent.change("activate")
    assert ask(silent, cloud_message(HEADER, points)).success
