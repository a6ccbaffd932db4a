"""Clouds go into the real node and boxes come out; bad clouds do no harm.

The network is a real one with random weights.
"""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import numpy as np
from builtin_interfaces.msg import Time
from node_topics import HEADER, LogLines, Topics, boxes_of
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo
from visualization_msgs.msg import Marker

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.qos import LATCHED
from dspdet3d_ros.ros.interface.topics import DETECTIONS, LABEL_INFO
from dspdet3d_ros.sparse import choose_backend


def test_the_boxes_of_a_cloud_are_published_with_its_header(start, tiny, points):
    topics = Topics(start())
    array, markers, stats = topics.ask(cloud_message(HEADER, points))
    detector = Detector.load(tiny.model, tiny.checkpoint, "cpu")
    expected = detector(points)
    assert len(expected) > 3
    assert array.header == stats.header == HEADER
    np.testing.assert_allclose(boxes_of(array), expected.boxes, rtol=1e-4, atol=1e-5)
    for detection, name, score in zip(array.detections, expected.names, expected.scores, strict=True):
        assert detection.header == HEADER
        assert detection.results[0].hypothesis.class_id == name
        assert detection.results[0].hypothesis.score == pytest.approx(score, rel=1e-4)
        assert detection.results[0].pose.pose == detection.bbox.center
        assert detection.bbox.center.orientation.w == 1.0
        assert detection.id == ""
    assert markers.markers[0].action == Marker.DELETEALL
    assert [m.type for m in markers.markers[1:]] == [Marker.CUBE, Marker.TEXT_VIEW_FACING] * len(expected)
    assert len({(m.ns, m.id) for m in markers.markers[1:]}) == 2 * len(expected)
    assert all(m.header == HEADER for m in markers.markers)
    assert markers.markers[2].text == f"{expected.names[0]} {expected.scores[0]:.2f}"


def test_the_stats_of_a_cloud_say_what_was_done_to_it(start, tiny, points):
    topics = Topics(start())
    with_nan = np.concatenate([points, np.full((5, 3), np.nan, np.float32)])
    array, _, stats = topics.ask(cloud_message(HEADER, with_nan))
    expected = Detector.load(tiny.model, tiny.checkpoint, "cpu")(points).stats
    assert (stats.points_in, stats.points_used, stats.voxels) == (len(points) + 5, len(points), expected.voxels)
    assert list(stats.level) == [3, 2, 1, 0]
    assert list(stats.cells_before) == [cells.before for cells in expected.levels]
    assert list(stats.cells_kept) == [cells.kept for cells in expected.levels]
    assert stats.detections == len(array.detections)
    assert stats.pruning_threshold == 0.125
    assert (stats.device, stats.backend, stats.model) == ("cpu", choose_backend("cpu")[0], tiny.model)
    assert stats.stage_names[0] == "decode"
    assert stats.total_ms == pytest.approx(sum(stats.stage_ms), rel=0.05)
    assert stats.latency_ms >= stats.total_ms
    assert stats.age_ms > 1e9, "the stamp is of 1970"
    assert (stats.clouds_received, stats.clouds_processed) == (1, 1)
    assert (stats.clouds_dropped, stats.clouds_refused) == (0, 0)
    _, _, stats = topics.ask(cloud_message(Header(frame_id="map"), points))
    assert np.isnan(stats.age_ms)


def test_class_names_and_threshold_are_latched(start):
    bench = start(score_threshold=0.25)
    received = []
    bench.peer.create_subscription(LabelInfo, f"/dspdet3d/{LABEL_INFO}", received.append, LATCHED)
    assert bench.spin_until(lambda: received)
    assert [(entry.class_id, entry.class_name) for entry in received[0].class_map] == [
        (0, "cup"),
        (1, "book"),
        (2, "plant"),
    ]
    assert received[0].threshold == 0.25
    assert bench.set(score_threshold=0.5).successful
    assert bench.spin_until(lambda: received[-1].threshold == 0.5)


def test_live_parameters_apply_to_the_next_cloud(start, points):
    topics = Topics(bench := start())
    array, _, stats = topics.ask(cloud_message(HEADER, points))
    assert stats.cells_before[3] > 0
    assert bench.set(atomically=True, pruning_threshold=1, class_filter=["book"], max_detections=2).successful
    array, _, stats = topics.ask(cloud_message(HEADER, points))
    assert stats.pruning_threshold == 1.0
    assert list(stats.cells_before[1:]) == [0, 0, 0]
    assert {d.results[0].hypothesis.class_id for d in array.detections} <= {"book"}
    assert len(array.detections) <= 2
    assert bench.set(score_threshold=1.0).successful
    array, markers, _ = topics.ask(cloud_message(HEADER, points))
    assert array.detections == []
    assert [m.action for m in markers.markers] == [Marker.DELETEALL]


@pytest.mark.parametrize(
    "message",
    [
        PointCloud2(header=HEADER),
        cloud_message(HEADER, np.empty((0, 3))),
        cloud_message(HEADER, np.full((9, 3), np.nan)),
        cloud_message(HEADER, np.full((9, 3), np.inf)),
    ],
    ids=["default", "no points", "all NaN", "all infinite"],
)
def test_a_cloud_without_points_gives_an_empty_answer_with_its_header(start, message):
    array, markers, stats = Topics(start()).ask(message)
    assert array.header == HEADER
    assert array.detections == []
    assert [m.action for m in markers.markers] == [Marker.DELETEALL]
    assert stats.points_used == 0
    assert stats.clouds_refused == 0


@pytest.mark.parametrize(
    "points", [np.zeros((1, 3)), np.ones((50, 3)), np.mgrid[0:1:40j, 0:1:40j, 0:1:1j].reshape(3, -1).T]
)
def test_clouds_of_one_voxel_or_one_plane_are_answered(start, points):
    array, _, stats = Topics(start()).ask(cloud_message(HEADER, points))
    assert array.header == HEADER
    assert stats.points_used == len(points)


def broken(**changes):
    message = cloud_message(HEADER, np.zeros((10, 3)))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


BAD = {
    "fields": broken(fields=[PointField(name="x", offset=0, datatype=7, count=1)]),
    "sizes": broken(width=2**32 - 1, height=2**32 - 1),
    "stamp": broken(header=Header(stamp=Time(sec=1, nanosec=2_000_000_000))),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_cloud_is_reported_and_counted_and_the_next_good_one_is_answered(start, points, capfd, kind):
    topics = Topics(bench := start())
    name = f"faults of kind {kind}"
    for number in (1, 2, 3):
        topics.input.publish(BAD[kind])
        assert bench.spin_until(lambda number=number: bench.figures().get(name) == str(number))
    assert [key for key in bench.figures() if key.startswith("faults of kind")] == [name]
    _, _, stats = topics.ask(cloud_message(HEADER, points))
    assert (stats.clouds_received, stats.clouds_processed, stats.clouds_refused) == (4, 1, 3)
    # The line comes just after the answer.
    log = LogLines(capfd)
    assert bench.spin_until(lambda: log.has("usable again, after 3"))
    assert log.text.count("cloud refused") == 1
    assert "cloud refused" not in bench.node.status.message
    assert len(topics.received[DETECTIONS]) == 1


def test_an_error_in_the_detector_costs_only_its_cloud(start, points, monkeypatch, capfd):
    topics = Topics(bench := start())
    real, failures = Detector.__call__, [RuntimeError("out of memory"), MemoryError()]

    def failing(detector, xyz, settings):
        if failures:
            raise failures.pop(0)
        return real(detector, xyz, settings)

    monkeypatch.setattr(Detector, "__call__", failing)
    for number in (1, 2):
        topics.input.publish(cloud_message(HEADER, points))
        assert bench.spin_until(lambda number=number: bench.figures()["clouds_refused"] == str(number))
    _, _, stats = topics.ask(cloud_message(HEADER, points))
    assert stats.clouds_refused == 2
    assert "RuntimeError: out of memory" in capfd.readouterr().err
