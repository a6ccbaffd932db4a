"""The region of interest and fitted boxes on the real node; both change while it runs."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from node_topics import HEADER, Topics, boxes_of
from visualization_msgs.msg import Marker

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.ros.interface.messages import cloud_message


def test_points_outside_the_region_are_as_if_they_were_not_there(start, points):
    topics = Topics(bench := start())
    left = points[points[:, 0] <= 0.5]
    expected, _, _ = topics.ask(cloud_message(HEADER, left))
    everywhere, _, before = topics.ask(cloud_message(HEADER, points))
    assert before.points_outside_roi == 0
    assert bench.set(roi_max=[0.5, 2.0, 2.0]).successful
    array, markers, stats = topics.ask(cloud_message(HEADER, points))
    np.testing.assert_array_equal(boxes_of(array), boxes_of(expected))
    assert len(array.detections) > 0
    assert (stats.points_in, stats.points_outside_roi) == (len(points), len(points) - len(left))
    assert stats.points_used == len(left)
    # A side is open: there is no outline.
    assert [marker for marker in markers.markers if marker.ns == "region"] == []
    assert bench.set(roi_min=[-1, -1, -1]).successful
    _, markers, _ = topics.ask(cloud_message(HEADER, points))
    (outline,) = [marker for marker in markers.markers if marker.ns == "region"]
    assert outline.type == Marker.LINE_LIST
    assert len(outline.points) == 24
    assert {(p.x, p.y, p.z) for p in outline.points} == {(x, y, z) for x in (-1, 0.5) for y in (-1, 2) for z in (-1, 2)}
    assert bench.set(roi_min=[], roi_max=[]).successful
    assert bench.set(roi_max=[""]).successful
    array, _, stats = topics.ask(cloud_message(HEADER, points))
    np.testing.assert_array_equal(boxes_of(array), boxes_of(everywhere))
    assert stats.points_outside_roi == 0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"roi_min": [1.0, 2.0]}, "roi_min: expected 0 or 3 numbers, got 2"),
        ({"roi_max": [1.0, math.nan, 2.0]}, "roi_max: expected a list of numbers, got [1.0, nan, 2.0]"),
        ({"roi_max": ["a", "b", "c"]}, "roi_max: expected a list of numbers"),
        (
            {"roi_min": [1.0, 0.0, 0.0], "roi_max": [1.0, 2.0, 2.0]},
            "roi_min: expected less than roi_max along x (1), got 1",
        ),
        ({"box_orientation": "turned"}, "box_orientation: expected axes or fitted, got 'turned'"),
    ],
)
def test_values_that_cannot_be_are_refused_with_a_reason(start, values, reason):
    bench = start()
    result = bench.set(atomically=True, **values)
    assert not result.successful
    assert result.reason.startswith(reason)
    assert list(bench.get("roi_min")) == []


def test_a_cloud_outside_the_region_gives_no_boxes_and_the_reason(start, points):
    topics = Topics(start(roi_min=[5.0, 5.0, 5.0]))
    array, _, stats = topics.ask(cloud_message(HEADER, points))
    assert array.detections == []
    assert stats.points_outside_roi == len(points)


def test_fitted_boxes_turn_in_all_outputs_and_axes_bring_them_back(start, monkeypatch):
    rng = np.random.default_rng(0)
    c, s = math.cos(0.5), math.sin(0.5)
    bar = rng.uniform((-0.15, -0.03, 0), (0.15, 0.03, 0.1), (2000, 3)) @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    table = rng.uniform((-0.5, -0.5, -0.005), (0.5, 0.5, 0), (6000, 3))
    cloud = cloud_message(HEADER, np.concatenate([table, bar]).astype(np.float32))
    hull = np.array([[0, 0, 0.05, 0.3 * c + 0.06 * s, 0.3 * s + 0.06 * c, 0.1]])
    real = Detector.__call__
    # The network of the test has random weights; this is the box of a good one.
    monkeypatch.setattr(Detector, "__call__", lambda *args: replace(real(*args).select(np.array([0])), boxes=hull))
    topics = Topics(bench := start())
    axes, _, _ = topics.ask(cloud)
    assert all(d.bbox.center.orientation.w == 1 for d in axes.detections)
    assert bench.set(box_orientation="fitted").successful
    fitted, markers, stats = topics.ask(cloud)
    assert "orientation" in stats.stage_names
    (bbox,) = [detection.bbox for detection in fitted.detections]
    assert 2 * math.atan2(bbox.center.orientation.z, bbox.center.orientation.w) == pytest.approx(0.5, abs=0.04)
    np.testing.assert_allclose([bbox.size.x, bbox.size.y, bbox.size.z], [0.3, 0.06, 0.1], atol=0.01)
    shown = [marker for marker in markers.markers if marker.ns == "boxes"]
    assert [m.pose for m in shown] == [d.bbox.center for d in fitted.detections]
    assert [m.scale for m in shown] == [d.bbox.size for d in fitted.detections]
    assert bench.set(box_orientation="axes").successful
    np.testing.assert_array_equal(boxes_of(topics.ask(cloud)[0]), boxes_of(axes))
