"""Messages hold what the detections hold, and nothing that cannot be published."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from dspdet3d_ros.clouds.pointcloud2 import decode
from dspdet3d_ros.detector.result import Detections, DetectionStats, LevelCells
from dspdet3d_ros.message_contents import Timing, class_colour, to_detections
from dspdet3d_ros.ros.interface import messages
from dspdet3d_ros.ros.results import Counts

HEADER = Header(stamp=Time(sec=100, nanosec=500_000_000), frame_id="odom")
STATS = DetectionStats(
    pruning_threshold=0.5,
    points_in=100,
    points_used=98,
    voxels=70,
    levels=tuple(LevelCells(level, 50 - 10 * level, 40 - 10 * level, level) for level in (3, 2, 1, 0)),
    stage_ms={"decode": 1.5, "backbone": 2.5},
    total_ms=4.0,
    device="cuda:0",
    backend="torch",
    points_out_of_range=3,
    not_finite=7,
)
BOXES = np.array([[1, 2, 3, 0.5, 0.25, 0.125], [-1, 0, 1e4 + 1 / 3, 1, 1, 1]])
FOUND = Detections(BOXES, np.float32([0.75, 0.5]), np.int64([1, 0]), ("cup", "book"), STATS)


def test_detections_come_back_from_their_messages():
    array = messages.detection_array(HEADER, FOUND)
    stats = messages.stats_message(HEADER, FOUND, "small", Timing(5.0, 6.0), Counts(9, 5, 3, 1))
    back = to_detections(array, stats)
    np.testing.assert_array_equal(back.boxes, FOUND.boxes)
    np.testing.assert_array_equal(back.scores, FOUND.scores)
    assert back.names == FOUND.names == ("book", "cup")
    assert back.stats == STATS
    counts = (stats.clouds_received, stats.clouds_processed, stats.clouds_dropped, stats.clouds_refused)
    assert counts == (9, 5, 3, 1)
    assert stats.not_finite == 7


def test_all_that_a_box_may_be_is_in_its_message_best_first():
    scores = np.float32([[0.4, 0.75], [0.5, 0]])
    array = messages.detection_array(HEADER, replace(FOUND, class_scores=scores))
    named = [[(r.hypothesis.class_id, round(r.hypothesis.score, 3)) for r in d.results] for d in array.detections]
    assert named == [[("book", 0.75), ("cup", 0.4)], [("cup", 0.5)]]


def test_markers_lie_on_their_boxes_in_the_colour_of_their_class():
    delete, box, text, other, _ = messages.marker_array(HEADER, FOUND).markers
    assert delete.action == delete.DELETEALL
    assert (box.pose.position.x, box.pose.position.y, box.pose.position.z) == (1, 2, 3)
    assert (box.scale.x, box.scale.y, box.scale.z) == (0.5, 0.25, 0.125)
    assert text.pose.position.z > 3.0625
    assert text.text == "book 0.75"
    assert (box.color.r, box.color.g, box.color.b) == pytest.approx(class_colour(1))
    assert box.color != other.color
    assert 0 < box.color.a < 1


def test_an_age_is_counted_from_the_stamp_and_unknown_without_one():
    assert messages.age_ms(HEADER, 100_600_000_000) == pytest.approx(100)
    assert messages.age_ms(HEADER, 100_400_000_000) == pytest.approx(-100)
    assert math.isnan(messages.age_ms(Header(), 100_000_000_000))


def test_a_cloud_message_holds_its_points_and_colours():
    xyz = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    rgb = np.random.default_rng(0).integers(0, 256, (50, 3), dtype=np.uint8)
    message = messages.cloud_message(HEADER, xyz, rgb)
    cloud = decode(message, with_rgb=True)
    np.testing.assert_array_equal(cloud.xyz, xyz)
    np.testing.assert_array_equal(cloud.rgb, rgb)
    assert message.header == HEADER
    assert decode(messages.cloud_message(HEADER, xyz)).rgb is None
