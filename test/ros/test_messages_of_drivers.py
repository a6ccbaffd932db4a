"""The real node reads messages as careless publishers fill them in, and says so once for each kind of carelessness."""

import signal

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from node_process import Process, Remote
from sensor_msgs.msg import PointField
from std_msgs.msg import Header

from dspdet3d_ros.ros.faults import Level
from dspdet3d_ros.ros.interface.messages import cloud_message

HEADER = Header(stamp=Time(sec=7, nanosec=8), frame_id="map")


def message(points, **changes):
    found = cloud_message(HEADER, points)
    for name, value in changes.items():
        setattr(found, name, value)
    return found


def fields(names="xyz", offsets=(0, 4, 8), counts=(1, 1, 1), others=()):
    rows = [*zip(names, offsets, (7, 7, 7), counts, strict=True), *others]
    return [PointField(name=n, offset=o, datatype=t, count=c) for n, o, t, c in rows]


def careless(points):
    """Messages of the same points: what is careless -> the message and the kind of the remark, if any."""
    number = len(points)
    swapped = np.frombuffer(cloud_message(HEADER, points).data, "<u4").byteswap().tobytes()
    return {
        "row_step 0": (message(points, row_step=0), "row_step"),
        "row_step of all rows": (message(points, height=30, width=number // 30), "row_step"),
        "row_step = width": (message(points, row_step=number), "row_step"),
        "count 0": (message(points, fields=fields(counts=(0, 0, 0))), None),
        "count = number of points": (message(points, fields=fields(counts=(number,) * 3)), "count"),
        "a field beyond point_step": (message(points, fields=fields(others=[("intensity", 12, 7, 1)])), None),
        "a field of no type": (message(points, fields=fields(others=[("t", 0, 42, 9)])), None),
        "capitals": (message(points, fields=fields("XYZ")), None),
        "is_bigendian": (message(points, is_bigendian=True), "byte_order"),
        "not is_bigendian": (message(points, data=swapped), "byte_order"),
    }


def test_03_04_06_careless_messages_give_the_same_boxes_and_one_line_in_the_log_each(tiny, points):
    with Process(tiny, input_reliability="reliable") as process, Remote() as remote:
        process.wait_for("active: taking clouds")
        remote.connect()
        plain, _, _ = remote.ask(cloud_message(HEADER, points))
        remote.healthy(Level.OK, "active")
        kinds = set()
        for case, (cloud, kind) in careless(points).items():
            for _ in range(2):
                array, _, stats = remote.ask(cloud)
                assert array == plain, case
                assert stats.points_in == len(points), case
            if kind is None:
                remote.healthy(Level.OK, "active")
            else:
                values = remote.healthy(Level.WARN, "active; doubtful cloud")
                assert int(values[f"faults of kind {kind}"]) >= 2, case
                assert values["clouds_refused"] == "0"
                kinds.add(kind)
        remote.ask(cloud_message(HEADER, points))
        remote.healthy(Level.OK, "active")
        status, log = process.end(signal.SIGTERM)
    assert status == 0, log
    warnings = [line for line in log.splitlines() if "doubtful cloud" in line]
    assert sorted(line.partition("(")[2].partition(",")[0] for line in warnings) == sorted(kinds), log


def test_20_an_empty_frame_passes_through_with_one_line_in_the_log(tiny, points):
    with Process(tiny, input_reliability="reliable") as process, Remote() as remote:
        process.wait_for("active: taking clouds")
        remote.connect()
        for _ in range(3):
            array, _, _ = remote.ask(cloud_message(Header(stamp=Time(sec=7)), points))
            assert array.header.frame_id == ""
            assert len(array.detections) > 0
        remote.healthy(Level.WARN, "header.frame_id is empty")
        status, log = process.end(signal.SIGTERM)
    assert status == 0, log
    assert log.count("doubtful cloud (frame_id") == 1, log


def test_06_a_wrong_byte_order_is_said_together_with_what_is_doubtful_about_the_points(tiny):
    far = np.array([[0, 0, 0], [1e7, 1, 1]] + [[i, 1 + i / 3, i / 7] for i in range(1, 30)])
    with Process(tiny, input_reliability="reliable") as process, Remote() as remote:
        process.wait_for("active: taking clouds")
        remote.connect()
        values = remote.provoke(message(far, is_bigendian=True), Level.WARN, "doubtful cloud")
        assert int(values["faults of kind range"]) == int(values["faults of kind byte_order"]) >= 1
