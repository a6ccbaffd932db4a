"""One node in a process of its own takes every bad cloud and bad setting there is, and answers the next good one."""

import os
import shutil
import signal
import subprocess
import time

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import numpy as np
from builtin_interfaces.msg import Time
from limits import WAIT_S
from node_process import NODE, Process, Remote
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from dspdet3d_ros.ros.faults import Level
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.topics import STATS
from dspdet3d_ros.sparse import choose_backend

HEADER = Header(stamp=Time(sec=7, nanosec=8), frame_id="map")
STRANGE = "../../etc/passwd\n%s{}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cwd")


@pytest.fixture(scope="module")
def process(tiny, folder):
    with Process(tiny, cwd=folder, input_reliability="reliable", max_points=5000) as process:
        process.wait_for("active: taking clouds")
        yield process


@pytest.fixture(autouse=True)
def the_node_lives_and_recovers(remote, process, points):
    yield
    assert process.process.poll() is None
    array, _, _ = remote.ask(cloud_message(HEADER, points))
    assert len(array.detections) > 0
    remote.healthy(Level.OK, "active")


def changed(points=None, **changes):
    message = cloud_message(HEADER, np.zeros((10, 3)) if points is None else points)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def fields(*rows):
    return [PointField(name=n, offset=o, datatype=t, count=c) for n, o, t, c in rows]


def refused(remote, message, kind):
    """Publishes a bad cloud; returns what the diagnostics say of it."""
    answers = len(remote.received[STATS])
    values = remote.provoke(message, Level.WARN, "cloud refused")
    assert int(values[f"faults of kind {kind}"]) >= 1
    assert int(values["clouds_refused"]) >= 1
    assert len(remote.received[STATS]) == answers
    return values


@pytest.mark.parametrize(
    "message",
    [PointCloud2(header=HEADER), cloud_message(HEADER, np.full((9, 3), np.nan))],
    ids=["no points", "all NaN"],
)
def test_01_02_a_cloud_without_points_is_answered_with_its_header_and_old_markers_go(remote, message):
    array, markers, stats = remote.ask(message)
    assert (array.header, array.detections, stats.points_used) == (HEADER, [], 0)
    assert [m.action for m in markers.markers] == [Marker.DELETEALL]


def test_02_points_that_are_not_finite_are_left_out_whatever_is_dense_says(remote, points):
    spoiled = np.concatenate([points, [[np.nan, 0, 0], [0, np.inf, 0]]])
    _, _, stats = remote.ask(changed(spoiled, is_dense=True))
    assert (stats.points_in, stats.points_used) == (len(points) + 2, len(points))


XYZ = (("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 8, 7, 1))
BAD = {
    "03 no z": ("fields", changed(fields=fields(*XYZ[:2]))),
    "03 two x": ("fields", changed(fields=fields(*XYZ, XYZ[0]))),
    "03 int16": ("fields", changed(fields=fields(*XYZ[:2], ("z", 8, 3, 1)))),
    "03 unknown type": ("fields", changed(fields=fields(*XYZ[:2], ("z", 8, 99, 1)))),
    "04 point_step 0": ("sizes", changed(point_step=0)),
    "04 field beyond": ("sizes", changed(fields=fields(*XYZ[:2], ("z", 11, 7, 1)))),
    "04 short data": ("sizes", changed(data=changed().data[:-1])),
    "07 width 2^32-1": ("sizes", changed(width=2**32 - 1, height=2**32 - 1)),
    "19 nanosec": ("stamp", changed(header=Header(stamp=Time(sec=1, nanosec=2_000_000_000)))),
    "19 before 1970": ("stamp", changed(header=Header(stamp=Time(sec=-5)))),
}


@pytest.mark.parametrize("case", BAD)
def test_03_04_07_a_cloud_that_contradicts_itself_is_refused_with_the_field_named(remote, case):
    kind, message = BAD[case]
    refused(remote, message, kind)


def test_05_06_every_layout_of_the_same_points_gives_the_same_boxes(remote, points):
    plain, _, _ = remote.ask(cloud_message(HEADER, points))
    names = {"names": ["z", "y", "x"], "formats": [">f4", ">f4", ">f4"], "offsets": [4, 12, 20], "itemsize": 32}
    rows = np.zeros((30, len(points) // 30 + 2), np.dtype(names))
    for i, name in enumerate("xyz"):
        rows[name][:, :-2] = points[:, i].reshape(30, -1)
    data = np.frombuffer(rows.tobytes() + b"tail", np.uint8)
    message = PointCloud2(header=HEADER, height=30, width=len(points) // 30, is_bigendian=True, point_step=32)
    message.row_step, message.data = rows.strides[0], data.tobytes()
    message.fields = fields(("z", 4, 7, 1), ("y", 12, 7, 1), ("x", 20, 7, 1))
    assert remote.ask(message)[0] == plain


def in_float64(points):
    """A cloud message that keeps all digits, as georeferenced clouds come."""
    message = PointCloud2(header=HEADER, height=1, width=len(points), point_step=24, row_step=24 * len(points))
    message.fields = fields(("x", 0, 8, 1), ("y", 8, 8, 1), ("z", 16, 8, 1))
    message.data = np.ascontiguousarray(points, "<f8").tobytes()
    return message


def corners(array):
    """(K, 6) of the published boxes."""
    parts = [(d.bbox.center.position, d.bbox.size) for d in array.detections]
    return np.array([(c.x, c.y, c.z, s.x, s.y, s.z) for c, s in parts])


@pytest.mark.parametrize("cells", [(79, -26, 3), (15625, -5208, 156), (703125, 8437500, 469)])
def test_08_the_same_room_elsewhere_gives_the_same_boxes_to_a_millimetre(remote, points, cells):
    # Up to 5400 km, as in UTM; by multiples of the coarsest cell, so that the grid divides the room alike.
    shift = np.array(cells) * 0.64
    here, there = (remote.ask(in_float64(points.astype(np.float64) + offset))[0] for offset in (0, shift))
    assert len(here.detections) > 3
    assert [d.results[0].hypothesis.class_id for d in here.detections] == [
        d.results[0].hypothesis.class_id for d in there.detections
    ]
    moved = corners(there) - [*shift, 0, 0, 0]
    assert np.abs(moved - corners(here)).max() < 1e-3


def test_08_points_out_of_range_are_left_out_counted_and_logged(remote, process, points):
    clean, _, _ = remote.ask(cloud_message(HEADER, points))
    strays = np.float32([[1e5, 0, 0], [0, -1e30, 0]])
    for cloud in (np.concatenate([strays, points]), np.concatenate([points, strays])):
        array, _, stats = remote.ask(cloud_message(HEADER, cloud))
        assert (stats.points_in, stats.points_used, stats.points_out_of_range) == (3002, 3000, 2)
        assert array == clean
    values = remote.healthy(Level.WARN, "doubtful cloud: 2 points are left out")
    assert (values["points_out_of_range"], values["faults of kind range"]) == ("2", "2")
    process.wait_for("doubtful cloud (range, 1 so far)")


def test_09_one_point_equal_points_and_a_plane_are_answered(remote):
    plane = np.mgrid[0:1:40j, 0:1:40j, 0:1:1j].reshape(3, -1).T
    for few in (np.zeros((1, 3)), np.ones((50, 3)), plane):
        _, _, stats = remote.ask(cloud_message(HEADER, few))
        assert stats.points_used == len(few)


def test_10_too_many_points_are_thinned_to_the_limit_in_the_same_way_each_time(remote, points):
    many = np.concatenate([points, points + np.float32(0.001)])
    first, _, stats = remote.ask(cloud_message(HEADER, many))
    assert (stats.points_in, stats.points_used) == (6000, 5000)
    assert remote.ask(cloud_message(HEADER, many))[0] == first


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan"), "0.5", True])
def test_11_a_threshold_that_cannot_be_is_refused_and_the_next_cloud_has_the_old_one(remote, points, value):
    result = remote.set(pruning_threshold=value)
    assert not result.successful
    assert len(result.reason) > 10
    assert remote.ask(cloud_message(HEADER, points))[2].pruning_threshold == 0.125


def test_11_12_13_live_parameters_show_in_the_next_result_all_or_none(remote, points):
    message = cloud_message(HEADER, points)
    assert not remote.set(atomically=True, pruning_threshold=0.5, class_filter=["teapot"]).successful
    assert remote.ask(message)[2].pruning_threshold == 0.125
    assert remote.set(atomically=True, pruning_threshold=1, class_filter=["cup"], max_detections=2).successful
    array, _, stats = remote.ask(message)
    assert (stats.pruning_threshold, list(stats.cells_before[1:])) == (1.0, [0, 0, 0])
    assert {d.results[0].hypothesis.class_id for d in array.detections} <= {"cup"}
    assert len(array.detections) <= 2
    assert remote.healthy(Level.OK)["pruning_threshold"] == "1"
    assert remote.set(pruning_threshold=0).successful
    assert remote.ask(message)[2].cells_before[3] > 0
    assert remote.set(atomically=True, pruning_threshold=0.125, class_filter=[""], max_detections=300).successful
    array, _, _ = remote.ask(message)
    highest = max(d.results[0].hypothesis.score for d in array.detections)
    assert remote.set(score_threshold=highest).successful
    assert remote.ask(message)[0].detections == []
    assert remote.set(score_threshold=0, nms_iou_threshold=0).successful
    assert len(remote.ask(message)[0].detections) < len(array.detections)
    assert remote.set(nms_iou_threshold=0.75).successful


def test_19_a_cloud_that_comes_late_is_refused_and_a_bag_that_starts_again_is_followed(remote, points):
    remote.ask(cloud_message(Header(stamp=Time(sec=1000), frame_id="map"), points))
    refused(remote, cloud_message(Header(stamp=Time(sec=999, nanosec=900_000_000), frame_id="map"), points), "order")
    array, _, _ = remote.ask(cloud_message(Header(stamp=Time(sec=10), frame_id="map"), points))
    assert array.header.stamp.sec == 10
    remote.ask(cloud_message(HEADER, points))


def test_19_a_stamp_of_zero_or_in_the_future_gives_no_negative_latency(remote, points):
    assert np.isnan(remote.ask(cloud_message(Header(frame_id="map"), points))[2].age_ms)
    _, _, stats = remote.ask(cloud_message(Header(stamp=Time(sec=2**31 - 1), frame_id="map"), points))
    assert stats.latency_ms > 0
    assert stats.age_ms < 0, "the clocks disagree, and the stats show it"


def test_20_29_a_frame_passes_through_whatever_it_is_and_no_file_gets_its_name(remote, points, folder):
    for frame in ("", STRANGE):
        assert remote.ask(cloud_message(Header(frame_id=frame), points))[0].header.frame_id == frame
    assert list(folder.iterdir()) == []


def test_diagnostics_hold_what_an_operator_asks_for(remote, points):
    remote.ask(cloud_message(HEADER, points))
    values = remote.healthy(Level.OK, "active")
    assert values["state"] == "active"
    assert len(values["weights_sha256"]) == 64
    assert (values["device"], values["backend"]) == ("cpu", choose_backend("cpu")[0])
    assert float(values["memory_mb"]) > 50
    assert float(values["rate_hz"]) > 0
    assert 0 < float(values["latency_p50_ms"]) <= float(values["latency_p95_ms"])
    assert float(values["last_cloud_age_s"]) >= 0
    counts = {name: int(values[f"clouds_{name}"]) for name in ("processed", "dropped", "refused", "ignored", "waiting")}
    assert int(values["clouds_received"]) == sum(counts.values())


def test_25_clouds_of_varying_sizes_leave_no_memory_behind(remote, points):
    def work(clouds):
        for number in range(clouds):
            remote.ask(cloud_message(HEADER, np.tile(points, (1 + number % 3, 1))))

    def memory_mb():
        return float(remote.healthy(Level.OK, "active")["memory_mb"])

    work(20)
    before = memory_mb()
    work(40)
    # What the clouds leave is returned when none has come for a while.
    end = time.monotonic() + WAIT_S
    while memory_mb() >= before + 20:
        assert time.monotonic() < end


def test_26_two_nodes_in_two_namespaces_do_not_touch_each_other(remote, tiny, points):
    node = Process(tiny, namespace="/other", input_reliability="reliable")
    with node as process, Remote("/other/dspdet3d") as other:
        other.connect()
        assert other.set(pruning_threshold=1).successful
        before = len(remote.received[STATS])
        assert other.ask(cloud_message(HEADER, points))[2].pruning_threshold == 1
        assert len(remote.received[STATS]) == before
        assert remote.ask(cloud_message(HEADER, points))[2].pruning_threshold == 0.125
        shared = {"/diagnostics", "/rosout", "/parameter_events"}

        def outside():
            names = {name for name, _ in other.node.get_publisher_names_and_types_by_node("dspdet3d", "/other")}
            return {name for name in names if not name.startswith("/other/dspdet3d/")}

        # The graph becomes known piece by piece.
        other.until(lambda: outside() == shared, f"publishers of {shared}")
        status, log = process.end(signal.SIGTERM)
        assert status == 0, log


@pytest.mark.parametrize("home", [None, "/proc/none", "/dev/full"])
def test_30_where_nothing_can_be_written_the_node_still_works(tiny, points, tmp_path, home):
    places = ("HOME", "ROS_HOME", "ROS_LOG_DIR", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    environment = {name: value for name, value in os.environ.items() if name not in places}
    environment |= {"TORCHINDUCTOR_CACHE_DIR": "/proc/none", "TRITON_CACHE_DIR": "/proc/none"}
    environment |= {"HOME": home} if home else {}
    node = Process(tiny, namespace="/bare", environment=environment, cwd=tmp_path, input_reliability="reliable")
    with node as process, Remote("/bare/dspdet3d") as bare:
        bare.connect()
        assert len(bare.ask(cloud_message(HEADER, points))[0].detections) > 0
        assert process.end(signal.SIGINT)[0] == 0


FULL = 'mount -t tmpfs -o size=4k tmpfs "$0" && head -c 4096 /dev/zero > "$0/fill" && exec "$@"'


def test_30_where_the_disk_is_full_the_node_still_works(tiny, points, tmp_path):
    """A log folder on a file system of 4 kB that is full; mounted for the node's process alone."""
    mount = ["unshare", "--mount", "sh", "-c", FULL, str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run([*mount, "true"], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here: that needs root")
    node = Process(
        tiny, [*mount, *NODE], "/full", {**os.environ, "ROS_LOG_DIR": str(tmp_path)}, input_reliability="reliable"
    )
    with node as process, Remote("/full/dspdet3d") as full:
        process.wait_for("no log file is written")
        full.connect()
        assert len(full.ask(cloud_message(HEADER, points))[0].detections) > 0
        assert process.end(signal.SIGINT)[0] == 0
