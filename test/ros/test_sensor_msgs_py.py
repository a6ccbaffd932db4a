"""sensor_msgs_py, ROS's own reader and writer of clouds, agrees with the decoder and with what the node sends."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("sensor_msgs_py", reason="sensor_msgs_py comes with a ROS installation only")

from builtin_interfaces.msg import Time
from limits import WAIT_S
from node_process import Process
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

from dspdet3d_ros.clouds.pointcloud2 import AXES, decode, encode
from dspdet3d_ros.geometry import box_of_points
from dspdet3d_ros.ros.interface.messages import cloud_message

HEADER = Header(stamp=Time(sec=7, nanosec=8), frame_id="map")
F4, F8, U1, U2, U4 = PointField.FLOAT32, PointField.FLOAT64, PointField.UINT8, PointField.UINT16, PointField.UINT32
XYZ = [("x", 0, F4), ("y", 4, F4), ("z", 8, F4)]
ROWS = 30


def fields_of(*rows):
    return [PointField(name=name, offset=at, datatype=kind, count=(*count, 1)[0]) for name, at, kind, *count in rows]


def structured(xyz, rows, rgb=None):
    """Points as sensor_msgs_py keeps them: a structured array with these fields, those that are not x, y, z filled."""
    table = np.zeros(len(xyz), point_cloud2.dtype_from_fields(fields_of(*rows)))
    for name in table.dtype.names:
        table[name] = xyz[:, AXES.index(name)] if name in AXES else np.arange(len(xyz)) % 200
    if rgb is not None:
        packed = rgb.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
        table["rgb"] = packed.view(table.dtype["rgb"])
    return table


def created(points, rgb):
    """Messages of the same points that sensor_msgs_py creates, by what is special about them."""

    def made(*rows, rgb=None, organised=False):
        table = structured(points, rows, rgb)
        return point_cloud2.create_cloud(HEADER, fields_of(*rows), table.reshape(-1, ROWS) if organised else table)

    return {
        "create_cloud_xyz32 of an array": point_cloud2.create_cloud_xyz32(HEADER, points),
        "create_cloud_xyz32 of lists": point_cloud2.create_cloud_xyz32(HEADER, points.tolist()),
        "float64": made(("x", 0, F8), ("y", 8, F8), ("z", 16, F8)),
        "float32 and float64": made(("x", 0, F4), ("y", 4, F8), ("z", 12, F4)),
        "z, y, x with gaps": made(("z", 4, F4), ("y", 12, F4), ("x", 20, F4)),
        "unaligned": made(("ring", 0, U1), ("x", 1, F4), ("y", 5, F4), ("z", 9, F4)),
        "of a lidar": made(*XYZ, ("intensity", 12, F4), ("ring", 16, U2), ("time", 18, F4)),
        "other fields of several values": made(*XYZ, ("normal", 12, F4, 3), ("id", 24, U4)),
        "colours": made(*XYZ, ("rgb", 12, F4), rgb=rgb),
        "colours as UINT32": made(*XYZ, ("rgb", 16, U4), rgb=rgb),
        "rows and columns": made(*XYZ, organised=True),
    }


CASES = list(created(np.zeros((ROWS, 3), np.float32), np.zeros((ROWS, 3), np.uint8)))


@pytest.fixture
def rgb(points):
    return np.random.default_rng(0).integers(0, 256, points.shape, dtype=np.uint8)


@pytest.mark.parametrize("case", CASES)
def test_the_decoder_reads_what_sensor_msgs_py_creates_as_sensor_msgs_py_does(case, points, rgb):
    message = created(points, rgb)[case]
    cloud = decode(message, with_rgb=True)
    table = point_cloud2.read_points(message, field_names=AXES)
    np.testing.assert_array_equal(cloud.xyz, np.stack([table[axis] for axis in AXES], 1))
    np.testing.assert_array_equal(cloud.xyz, points)
    assert cloud.remarks == ()
    if "colours" in case:
        np.testing.assert_array_equal(cloud.rgb, rgb)


def test_both_drop_the_same_points_that_are_not_finite(points):
    points[::7, 1] = np.nan
    message = point_cloud2.create_cloud_xyz32(HEADER, points)
    found = point_cloud2.read_points_numpy(message, skip_nans=True)
    assert len(found) < len(points)
    np.testing.assert_array_equal(decode(message).xyz, found)


def test_sensor_msgs_py_reads_what_the_encoder_writes(points, rgb):
    numbers = np.arange(len(points), dtype=np.uint32)
    message = cloud_message(HEADER, points, rgb, {"label": numbers, "instance": numbers + 1})
    table = point_cloud2.read_points(message)
    assert table.dtype.names == (*AXES, "rgb", "label", "instance")
    np.testing.assert_array_equal(np.stack([table[axis] for axis in AXES], 1), points)
    np.testing.assert_array_equal(table["label"], numbers)
    np.testing.assert_array_equal(table["instance"], numbers + 1)
    ours = encode(points, rgb)
    theirs = point_cloud2.create_cloud(
        HEADER, fields_of(*XYZ, ("rgb", 12, F4)), structured(points, [*XYZ, ("rgb", 12, F4)], rgb)
    )
    assert (ours.data, ours.point_step) == (theirs.data, theirs.point_step)


@pytest.fixture(scope="module")
def process(tiny):
    with Process(tiny, input_reliability="reliable") as process:
        process.wait_for("active: taking clouds")
        yield process


def corners(array):
    parts = [(d.bbox.center.position, d.bbox.size) for d in array.detections]
    return np.array([(c.x, c.y, c.z, s.x, s.y, s.z) for c, s in parts])


def classes(array):
    return [detection.results[0].hypothesis.class_id for detection in array.detections]


@pytest.mark.parametrize("case", CASES)
def test_the_node_finds_the_same_in_every_cloud_that_sensor_msgs_py_creates(case, remote, points, rgb):
    expected, _, _ = remote.ask(cloud_message(HEADER, points))
    found, _, stats = remote.ask(created(points, rgb)[case])
    assert found.header == HEADER
    assert stats.points_used == len(points)
    assert len(corners(found)) > 3
    assert classes(found) == classes(expected)
    np.testing.assert_allclose(corners(found), corners(expected), atol=1e-3)


def test_sensor_msgs_py_reads_the_points_of_the_objects(remote, points, rgb):
    received = []
    remote.node.create_subscription(PointCloud2, "/dspdet3d/output/object_points", received.append, 10)
    message = created(points, rgb)["colours"]
    end = time.monotonic() + WAIT_S
    while not received and time.monotonic() < end:
        # The node sends points once it knows that somebody listens.
        array, _, _ = remote.ask(message)
        again = time.monotonic() + 1
        remote.until(lambda again=again: received or time.monotonic() > again, "object points")
    table = point_cloud2.read_points(received[-1])
    owner = box_of_points(points, corners(array))
    inside = owner >= 0
    assert inside.sum() > 100
    np.testing.assert_array_equal(np.stack([table[axis] for axis in AXES], 1), points[inside])
    np.testing.assert_array_equal(table["instance"], owner[inside])
    packed = rgb[inside].astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    np.testing.assert_array_equal(table["rgb"].view(np.uint32), packed)


def test_both_readers_are_measured_on_the_same_messages():
    from dspdet3d_ros.ros.tools.decoder_benchmark import measure_decoders, table

    values = measure_decoders(repeats=1, warmup=0, points=5000)
    assert values.pop("points") == 5000
    assert list(values) == ["one row", "padded rows", "big-endian"]
    for readers in values.values():
        assert (readers["dspdet3d_ros"]["right"], readers["dspdet3d_ros"]["changed"]) == (1.0, False)
        assert all(figures["ms"]["median"] > 0 for figures in readers.values())
    assert values["one row"]["sensor_msgs_py"]["right"] == 1.0
    text = table({"points": 5000, **values})
    assert all(layout in text for layout in values)
