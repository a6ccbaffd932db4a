"""Clouds go into the real node and boxes come out; bad clouds, bursts and transitions do no harm.

The network is a real one with random weights. Where a test needs a cloud that takes long, the detector waits at a gate
before it does its work.
"""

import threading

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import numpy as np
from builtin_interfaces.msg import Time
from dspdet3d_ros.msg import PruningStats
from lifecycle_msgs.msg import Transition
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray, LabelInfo
from visualization_msgs.msg import Marker, MarkerArray

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.ros.messages import cloud_message
from dspdet3d_ros.ros.outputs import RESULTS
from dspdet3d_ros.ros.qos import LATCHED

OUTPUTS = {"detections": Detection3DArray, "markers": MarkerArray, "stats": PruningStats}
HEADER = Header(stamp=Time(sec=7, nanosec=8), frame_id="map")
WAIT_S = 60


class Topics:
    """The test's publisher of clouds and its subscriptions of the node's outputs."""

    def __init__(self, bench, listen=True):
        self.bench = bench
        self.input = bench.peer.create_publisher(PointCloud2, "/dspdet3d/input/points", 10)
        self.received = {name: [] for name in OUTPUTS}
        if listen:
            self.listen()
        assert bench.spin_until(self.input.get_subscription_count)

    def listen(self):
        for name, kind in OUTPUTS.items():
            self.bench.peer.create_subscription(kind, f"/dspdet3d/output/{name}", self.received[name].append, 10)
        outputs = self.bench.node._processing.outputs.publishers
        assert self.bench.spin_until(lambda: all(outputs[name].get_subscription_count() for name in OUTPUTS))

    def wait_for(self, count):
        return self.bench.spin_until(lambda: all(len(messages) >= count for messages in self.received.values()))

    def ask(self, message):
        """Publishes a cloud and returns the answers to it."""
        before = len(self.received["stats"])
        self.input.publish(message)
        assert self.wait_for(before + 1)
        return [self.received[name][-1] for name in OUTPUTS]


class Log:
    """What the nodes have written to the log so far."""

    def __init__(self, capfd):
        self._capfd, self.text = capfd, ""

    def has(self, text):
        self.text += self._capfd.readouterr().err
        return text in self.text


class Gate:
    """Lets the real detector begin only when it is told to."""

    def __init__(self, monkeypatch):
        self.started, self.passes = threading.Semaphore(0), threading.Semaphore(0)
        real = Detector.__call__

        def gated(detector, xyz, settings):
            self.started.release()
            assert self.passes.acquire(timeout=WAIT_S)
            return real(detector, xyz, settings)

        monkeypatch.setattr(Detector, "__call__", gated)

    def wait(self):
        assert self.started.acquire(timeout=WAIT_S)

    def open(self, times=1):
        for _ in range(times):
            self.passes.release()


@pytest.fixture
def gate(monkeypatch):
    gate = Gate(monkeypatch)
    yield gate
    gate.open(1000)


def boxes_of(array):
    return np.array(
        [
            [*(getattr(d.bbox.center.position, a) for a in "xyz"), *(getattr(d.bbox.size, a) for a in "xyz")]
            for d in array.detections
        ]
    )


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
    assert (stats.device, stats.backend, stats.model) == ("cpu", "torch", tiny.model)
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
    bench.peer.create_subscription(LabelInfo, "/dspdet3d/output/label_info", received.append, LATCHED)
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
    "contents": cloud_message(HEADER, np.array([[0, 0, 0], [3e38, 0, 0]])),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_cloud_is_told_and_counted_and_the_next_good_one_is_answered(start, points, capfd, kind):
    topics = Topics(bench := start())
    worker = bench.node._processing.worker
    for number in (1, 2, 3):
        topics.input.publish(BAD[kind])
        assert bench.spin_until(lambda number=number: worker.counts.refused == number)
    assert bench.node._faults.counts == {kind: 3}
    _, _, stats = topics.ask(cloud_message(HEADER, points))
    assert (stats.clouds_received, stats.clouds_processed, stats.clouds_refused) == (4, 1, 3)
    # The line comes just after the answer; what is written while the capture is read would be lost.
    assert bench.spin_until(lambda: bench.node._faults.present is None)
    bench.spin_for(0.5)
    log = capfd.readouterr().err
    assert log.count("cloud refused") == 1
    assert "usable again, after 3" in log
    assert len(topics.received["detections"]) == 1


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
        assert bench.spin_until(lambda number=number: sum(bench.node._faults.counts.values()) == number)
    _, _, stats = topics.ask(cloud_message(HEADER, points))
    assert stats.clouds_refused == 2
    assert "RuntimeError: out of memory" in capfd.readouterr().err


def test_boxes_that_are_not_finite_or_have_no_volume_are_not_published(start, points, monkeypatch):
    topics = Topics(start())
    real = Detector.__call__

    def spoiled(detector, xyz, settings):
        found = real(detector, xyz, settings)
        found.boxes[0, 1], found.boxes[1, 4], found.scores[2], found.boxes[3, 3] = np.nan, np.inf, np.nan, 0
        return found

    array, _, _ = topics.ask(cloud_message(HEADER, points))
    monkeypatch.setattr(Detector, "__call__", spoiled)
    fewer, markers, stats = topics.ask(cloud_message(HEADER, points))
    assert len(fewer.detections) == stats.detections == len(array.detections) - 4
    assert np.isfinite(boxes_of(fewer)).all()
    assert len(markers.markers) == 1 + 2 * len(fewer.detections)


def test_of_a_burst_the_latest_cloud_is_processed_and_the_dropped_ones_are_counted(start, points, gate):
    topics = Topics(bench := start())
    worker = bench.node._processing.worker
    topics.input.publish(cloud_message(Header(frame_id="first"), points))
    gate.wait()
    for number in range(8):
        topics.input.publish(cloud_message(Header(frame_id=str(number)), points))
        assert bench.spin_until(lambda number=number: worker.counts.received == number + 2)
    gate.open(2)
    assert topics.wait_for(2)
    assert [array.header.frame_id for array in topics.received["detections"]] == ["first", "7"]
    last = topics.received["stats"][-1]
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
    assert topics.received["stats"][0].pruning_threshold == 0.125, "the cloud was taken up before the change"
    gate.open()
    assert topics.ask(cloud_message(HEADER, points))[2].pruning_threshold == 0.5


def test_without_subscribers_nothing_is_processed(start, points):
    topics = Topics(bench := start(), listen=False)
    worker = bench.node._processing.worker
    topics.input.publish(cloud_message(HEADER, points))
    assert bench.spin_until(lambda: worker.counts.received == 1)
    topics.listen()
    _, _, stats = topics.ask(cloud_message(HEADER, points))
    assert (stats.clouds_received, stats.clouds_processed, stats.clouds_dropped) == (2, 1, 0)


@pytest.mark.parametrize("name", RESULTS)
def test_one_subscriber_of_any_output_is_enough(start, points, name):
    bench = start()
    topics, received = Topics(bench, listen=False), []
    bench.peer.create_subscription(RESULTS[name], f"/dspdet3d/output/{name}", received.append, 10)
    assert bench.spin_until(bench.node._processing.outputs.publishers[name].get_subscription_count)
    topics.input.publish(cloud_message(HEADER, points))
    assert bench.spin_until(lambda: received)


def test_nothing_is_published_after_deactivation_and_new_clouds_are_after_activation(start, points, gate):
    topics = Topics(bench := start())
    topics.input.publish(cloud_message(Header(frame_id="before"), points))
    gate.wait()
    assert bench.change("deactivate")
    gate.open()
    bench.spin_for(0.3)
    assert topics.received["detections"] == []
    assert bench.change("activate")
    assert bench.spin_until(topics.input.get_subscription_count)
    gate.open()
    array, _, stats = topics.ask(cloud_message(HEADER, points))
    assert array.header == HEADER
    assert len(topics.received["detections"]) == 1
    assert (stats.clouds_received, stats.clouds_processed) == (1, 1)


def test_deactivation_waits_for_no_cloud_but_cleanup_frees_everything(start, points, gate):
    topics = Topics(bench := start())
    topics.input.publish(cloud_message(HEADER, points))
    gate.wait()
    assert bench.change("deactivate")
    gate.open()
    worker = bench.node._processing.worker
    assert bench.change("cleanup")
    assert not worker.alive
    assert bench.node._detector is None
    assert bench.node._processing is None
    assert bench.state() == "unconfigured"


def test_many_cycles_leave_no_thread_behind(start, points):
    topics = Topics(bench := start())
    topics.ask(cloud_message(HEADER, points))
    for _ in range(10):
        for label in ("deactivate", "cleanup", "configure", "activate"):
            assert bench.change(label), label
    assert sum(thread.name == "detector" for thread in threading.enumerate()) == 1
    topics = Topics(bench)
    topics.ask(cloud_message(HEADER, points))


def test_shutdown_ends_in_the_final_state(start, points, gate):
    topics = Topics(bench := start())
    topics.input.publish(cloud_message(HEADER, points))
    gate.wait()
    gate.open()
    assert bench.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert bench.state() == "finalized"
    assert bench.node._processing is None


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        ("model", "no_such_model", "no_such_model"),
        ("checkpoint", "/no/such/file.pth", "/no/such/file.pth"),
        ("device", "cuda:77", "cuda:77"),
        ("device", "abacus", "abacus"),
        ("backend", "abacus", "abacus"),
    ],
)
def test_a_configuration_that_fails_is_explained_and_can_be_repeated(bench, tiny, capfd, parameter, value, text):
    good = {"model": tiny.model, "checkpoint": tiny.checkpoint, "device": "cpu", "backend": "torch"}
    bench.start(**{**good, parameter: value})
    assert not bench.change("configure")
    assert bench.state() == "unconfigured"
    log = capfd.readouterr().err
    assert "cannot be configured" in log
    assert text in log
    assert "Traceback" not in log
    assert bench.set(**{parameter: good[parameter]}).successful
    assert bench.change("configure")
    assert bench.change("activate")


def test_a_class_filter_that_does_not_fit_the_model_fails_the_configuration(bench, tiny, capfd):
    bench.start(model=tiny.model, checkpoint=tiny.checkpoint, device="cpu", class_filter=["teapot"])
    assert bench.state() == "unconfigured"
    assert "it knows cup, book, plant" in capfd.readouterr().err


def test_without_autostart_the_node_waits(bench, tiny):
    bench.start(model=tiny.model, checkpoint=tiny.checkpoint, device="cpu", autostart=False)
    assert bench.state() == "unconfigured"
    assert bench.change("configure")
    assert bench.state() == "inactive"
    assert bench.change("activate")
    assert bench.state() == "active"


def test_a_publisher_with_less_reliability_is_told_with_both_policies(start, capfd):
    bench = start(input_reliability="reliable")
    profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    bench.peer.create_publisher(PointCloud2, "/dspdet3d/input/points", profile)
    log = Log(capfd)
    assert bench.spin_until(lambda: log.has("no clouds can be received"))
    assert "asks for reliable, volatile, but /peer offers best_effort, volatile" in log.text
    assert "set input_reliability to best_effort" in log.text


def test_a_subscriber_that_asks_for_more_is_told_with_both_policies(start, capfd):
    bench = start()
    bench.peer.create_subscription(Detection3DArray, "/dspdet3d/output/detections", lambda _: None, LATCHED)
    log = Log(capfd)
    assert bench.spin_until(lambda: log.has("will receive nothing"))
    assert "this node offers reliable, volatile, but /peer asks for reliable, transient_local" in log.text


def test_a_latched_cloud_that_was_published_before_is_taken_where_that_is_wanted(bench, tiny, points):
    profile = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = bench.peer.create_publisher(PointCloud2, "/dspdet3d/input/points", profile)
    publisher.publish(cloud_message(HEADER, points))
    received = []
    bench.peer.create_subscription(Detection3DArray, "/dspdet3d/output/detections", received.append, 10)
    wanted = {"input_durability": "transient_local", "input_reliability": "reliable", "autostart": False}
    bench.start(model=tiny.model, checkpoint=tiny.checkpoint, device="cpu", **wanted)
    assert bench.change("configure")
    assert bench.spin_until(bench.node._processing.outputs.publishers["detections"].get_subscription_count)
    assert bench.change("activate")
    assert bench.spin_until(lambda: received)
    assert received[0].header == HEADER
