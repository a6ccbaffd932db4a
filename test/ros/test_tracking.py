"""Tracking in the real node: numbers of objects stay over clouds, and are switched and reset while it runs."""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("torch")

from builtin_interfaces.msg import Time
from node_process import Process, Remote
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.topics import DETECTIONS, MARKERS


@pytest.fixture(scope="module")
def process(tiny):
    with Process(tiny) as process:
        process.wait_for("active: taking clouds")
        yield process


@pytest.fixture
def remote(process):
    with Remote(outputs=(DETECTIONS, MARKERS)) as remote:
        remote.connect()
        assert remote.set(atomically=True, tracking=True, tracking_births=1, tracking_patience=8).successful
        assert reset(remote).success
        yield remote
        assert remote.set(tracking=False).successful


def reset(remote):
    return remote.call(Trigger, "reset_tracking", Trigger.Request())


def ids(remote, points, seconds, frame="map"):
    detections, markers = remote.ask(cloud_message(Header(stamp=Time(sec=seconds), frame_id=frame), points))
    found = [detection.id for detection in detections.detections]
    assert sorted(str(marker.id) for marker in markers.markers if marker.ns == "boxes") == sorted(found) or "" in found
    return found


def test_objects_keep_their_numbers_from_cloud_to_cloud(remote, points):
    first = ids(remote, points, 1)
    assert first
    assert "" not in first
    assert len(set(first)) == len(first)
    for seconds in (2, 3):
        assert set(ids(remote, points, seconds)) & set(first)
    assert ids(remote, points, 4) == ids(remote, points, 5)


def test_without_tracking_there_are_no_numbers(remote, points):
    assert set(ids(remote, points, 11)) != {""}
    assert remote.set(tracking=False).successful
    assert set(ids(remote, points, 12)) == {""}


def test_the_service_lets_objects_get_new_numbers(remote, points):
    before = {int(number) for number in ids(remote, points, 21)}
    assert reset(remote).success
    assert min(int(number) for number in ids(remote, points, 22)) > max(before)


def test_another_frame_has_other_objects(remote, points):
    before = {int(number) for number in ids(remote, points, 31)}
    assert min(int(number) for number in ids(remote, points, 32, "odom")) > max(before)


@pytest.mark.parametrize(("name", "value"), [("tracking_births", 0), ("tracking_patience", -1), ("tracking", 2)])
def test_settings_out_of_range_are_refused_with_a_reason(remote, name, value):
    answer = remote.set(**{name: value})
    assert not answer.successful
    assert answer.reason.startswith(f"{name}: expected")
