"""Messages in bags are byte for byte those that the node publishes."""

import numpy as np
import pytest

pytest.importorskip("rosbags")
pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from dspdet3d_ros.detector.object_points import ObjectPoints
from dspdet3d_ros.detector.result import Detections, DetectionStats, LevelCells
from dspdet3d_ros.message_contents import TYPES, MessageContents, Timing
from dspdet3d_ros.recordings.types import MessageTypes, make, typestore
from dspdet3d_ros.ros.interface import messages
from dspdet3d_ros.ros.results import Counts

STATS = DetectionStats(
    0.4, 100, 90, 80, (LevelCells(1, 9, 5), LevelCells(0, 40, 40, 3)), {"voxels": 1.5}, 7.0, "cpu", "torch"
)
FOUND = Detections(
    boxes=np.array([[1, 2, 3, 0.1, 0.2, 0.3], [4, 5, 6, 0.4, 0.5, 0.6]]),
    scores=np.array([0.75, 0.5], np.float32),
    labels=np.array([1, 0]),
    class_names=("book", "cup"),
    stats=STATS,
    class_scores=np.array([[0.25, 0.75], [0.5, 0.0]], np.float32),
    ids=np.array([7, 9]),
)
POINTS = ObjectPoints(
    np.array([[1, 2, 3.0]], np.float32),
    np.array([[10, 20, 30]], np.uint8),
    np.array([1], np.uint32),
    np.array([0], np.uint32),
)
CONTENTS = {
    "detections": lambda of, header: of.detection_array(header, FOUND),
    "markers": lambda of, header: of.marker_array(header, FOUND),
    "stats": lambda of, header: of.stats(header, FOUND, "small", Timing(5.0, 6.0), Counts(9, 5, 3, 1)),
    "object points": lambda of, header: of.object_points(header, POINTS),
    "labels": lambda of, header: of.label_info(FOUND.class_names, 0.25, header),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_a_bag_gets_the_bytes_that_the_node_publishes(content):
    ros = SameNames()
    of_node = CONTENTS[content](ros, Header(stamp=Time(sec=7, nanosec=8), frame_id="map"))
    stamp = make("builtin_interfaces/msg/Time", sec=7, nanosec=8)
    header = make("std_msgs/msg/Header", stamp=stamp, frame_id="map")
    of_bag = CONTENTS[content](MessageContents(MessageTypes(*TYPES)), header)
    kind, store = of_bag.__msgtype__, typestore()
    # Bytes between two fields, which align the second one, have no meaning: reading and writing sets them to zero.
    published = store.deserialize_cdr(bytes(serialize_message(of_node)), kind)
    assert bytes(store.serialize_cdr(of_bag, kind)) == bytes(store.serialize_cdr(published, kind))


class SameNames:
    """The functions of the node's module under the names of `MessageContents`."""

    detection_array = staticmethod(messages.detection_array)
    marker_array = staticmethod(messages.marker_array)
    stats = staticmethod(messages.stats_message)
    object_points = staticmethod(messages.object_points)
    label_info = staticmethod(messages.label_info)


def test_the_number_of_an_object_is_in_the_messages():
    header = Header(frame_id="map")
    assert [d.id for d in messages.detection_array(header, FOUND).detections] == ["7", "9"]
    markers = messages.marker_array(header, FOUND).markers
    assert [marker.id for marker in markers[1:]] == [7, 7, 9, 9]
    assert markers[2].text == "cup 0.75 #7"
