"""The points inside the boxes come from the real node, in a process of its own, under the detections' header."""

import importlib.util
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from dspdet3d_ros.msg import PruningStats
from limits import WAIT_S
from node_process import Process, Remote
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray, LabelInfo

from dspdet3d_ros.clouds.pointcloud2 import FLOAT32, UINT32
from dspdet3d_ros.geometry import box_of_points
from dspdet3d_ros.ros.interface.messages import cloud_message, object_points
from dspdet3d_ros.ros.interface.qos import LATCHED
from dspdet3d_ros.ros.interface.topics import DETECTIONS, OBJECT_POINTS, STATS
from dspdet3d_ros.ros.pipeline.pipeline import Arrival, Pipeline, check_message
from dspdet3d_ros.ros.placement import Placement

HAS_TF2 = importlib.util.find_spec("tf2_ros") is not None
XYZ = [("x", 0, FLOAT32, 1), ("y", 4, FLOAT32, 1), ("z", 8, FLOAT32, 1)]


def fields_of(message):
    return [(field.name, field.offset, field.datatype, field.count) for field in message.fields]


def table(message):
    """The points of a message as a structured array, read by its own description."""
    kinds = {FLOAT32: "<f4", UINT32: "<u4"}
    layout = {
        "names": [field.name for field in message.fields],
        "formats": [kinds[field.datatype] for field in message.fields],
        "offsets": [field.offset for field in message.fields],
        "itemsize": message.point_step,
    }
    assert len(message.data) == message.row_step == message.point_step * message.width
    return np.frombuffer(message.data, np.dtype(layout))


def boxes_of(array):
    values = [
        [*(getattr(d.bbox.center.position, axis) for axis in "xyz"), *(getattr(d.bbox.size, axis) for axis in "xyz")]
        for d in array.detections
    ]
    return np.array(values, np.float32).reshape(-1, 6)


@pytest.fixture
def remote(tiny):
    process = Process(tiny, input_reliability="reliable")
    remote = Remote()
    try:
        process.wait_for("active: taking clouds")
        remote.connect()
        yield remote
    finally:
        remote.close()
        process.close()


def listen(remote):
    """Subscribes to the points; the node knows of it once an answer comes with some."""
    received = []
    remote.subscription = remote.node.create_subscription(
        PointCloud2, "/dspdet3d/output/object_points", received.append, 10
    )
    return received


def ask(remote, received, message):
    """A cloud's detections, stats and points, as soon as the node knows that somebody listens to its points."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        array, _, stats = remote.ask(message)
        if array.header == stats.header == message.header and stats.stage_names[-1] == "object_points":
            remote.until(lambda: received and received[-1].header == message.header, "object points")
            return array, stats, received[-1]
    raise AssertionError("the node does not know of the subscription")


def test_the_points_in_boxes_carry_the_number_of_their_class_and_detection(remote, points):
    _, _, stats = remote.ask(cloud_message(Header(stamp=Time(sec=1), frame_id="map"), points))
    assert "object_points" not in stats.stage_names, "nobody listens, and yet it is computed"

    received = listen(remote)
    header = Header(stamp=Time(sec=2, nanosec=5), frame_id="map")
    rgb = np.random.default_rng(0).integers(0, 256, points.shape, dtype=np.uint8)
    not_finite = np.concatenate([points, np.full((3, 3), np.nan, np.float32)])
    message = cloud_message(header, not_finite, np.concatenate([rgb, rgb[:3]]))
    array, stats, objects = ask(remote, received, message)
    assert objects.header == array.header == header
    assert fields_of(objects) == [*XYZ, ("rgb", 12, FLOAT32, 1), ("label", 16, UINT32, 1), ("instance", 20, UINT32, 1)]
    boxes, cells = boxes_of(array), table(objects)
    owner = box_of_points(points, boxes)
    inside = owner >= 0
    assert inside.sum() > 100
    np.testing.assert_array_equal(np.stack([cells["x"], cells["y"], cells["z"]], 1), points[inside])
    np.testing.assert_array_equal(cells["instance"], owner[inside])
    packed = rgb[inside].astype(np.uint32) @ np.uint32([65536, 256, 1])
    np.testing.assert_array_equal(cells["rgb"].view("<u4"), packed)

    names = []
    remote.node.create_subscription(LabelInfo, "/dspdet3d/output/label_info", names.append, LATCHED)
    remote.until(lambda: names, "class names")
    name_of = {entry.class_id: entry.class_name for entry in names[-1].class_map}
    classes = [detection.results[0].hypothesis.class_id for detection in array.detections]
    assert [name_of[label] for label in cells["label"]] == [classes[number] for number in cells["instance"]]
    assert stats.total_ms == pytest.approx(sum(stats.stage_ms), rel=0.05)

    remote.node.destroy_subscription(remote.subscription)
    end = time.monotonic() + WAIT_S
    while "object_points" in stats.stage_names and time.monotonic() < end:
        _, _, stats = remote.ask(message)
    assert "object_points" not in stats.stage_names, "nobody listens any more"


def test_clouds_without_colours_without_points_and_with_odd_colours_are_answered(remote, points):
    received = listen(remote)
    first, second, third = (Header(stamp=Time(sec=second), frame_id="map") for second in (1, 2, 3))
    array, _, objects = ask(remote, received, cloud_message(first, points))
    assert fields_of(objects) == [*XYZ, ("label", 12, UINT32, 1), ("instance", 16, UINT32, 1)]
    assert objects.width == (box_of_points(points, boxes_of(array)) >= 0).sum() > 0

    odd = cloud_message(second, points, np.zeros(points.shape, np.uint8))
    odd.fields[3].datatype = 2
    _, _, objects = ask(remote, received, odd)
    assert objects.width > 0
    assert "rgb" not in [field.name for field in objects.fields]

    array, _, objects = ask(remote, received, cloud_message(third, np.empty((0, 3))))
    assert (objects.width, len(objects.data), array.detections) == (0, 0, [])


def test_the_points_of_a_cloud_that_is_moved_are_moved(tiny, points):
    from dspdet3d_ros.detector.predictor import Detector

    class Twenty:
        """Stands 20 m before the frame of the clouds."""

        def find(self, header):
            return Placement(Header(stamp=header.stamp, frame_id="map"), ((20, 0, 0), (0, 0, 0, 1)))

    detector = Detector.load(tiny.model, tiny.checkpoint, "cpu")
    pipeline = Pipeline(detector, detector.default_settings, Twenty(), lambda: True)
    cloud = cloud_message(Header(frame_id="camera"), points)
    found = pipeline(Arrival(cloud, check_message(cloud), 0.0))
    message = object_points(found.placement.header, found.objects)
    cells, boxes = table(message), found.detections.boxes[found.objects.instance]
    assert message.header.frame_id == "map"
    assert len(cells) > 100
    offset = np.abs(np.stack([cells["x"], cells["y"], cells["z"]], 1) - boxes[:, :3])
    assert (offset <= boxes[:, 3:] / 2 + 1e-5).all()
    assert cells["x"].min() > 19


@pytest.mark.skipif(not HAS_TF2, reason="tf2_ros comes with a ROS installation only")
def test_with_a_target_frame_the_points_lie_where_the_boxes_do(start, points):
    from geometry_msgs.msg import TransformStamped
    from tf2_msgs.msg import TFMessage

    bench, received = start(target_frame="map", tf_timeout_s=60.0), {"points": [], "boxes": [], "stats": []}
    publisher = bench.peer.create_publisher(PointCloud2, "/dspdet3d/input/points", 1)
    for name, kind, key in (
        ("object_points", PointCloud2, "points"),
        ("detections", Detection3DArray, "boxes"),
        ("stats", PruningStats, "stats"),
    ):
        bench.peer.create_subscription(kind, f"/dspdet3d/output/{name}", received[key].append, 1)
    wanted = (OBJECT_POINTS, DETECTIONS, STATS)
    assert bench.spin_until(lambda: all(bench.node.subscribers.get(name) for name in wanted))
    assert bench.spin_until(publisher.get_subscription_count)
    transform = TransformStamped(header=Header(stamp=Time(sec=5), frame_id="map"), child_frame_id="camera")
    transform.transform.translation.x, transform.transform.rotation.w = 20.0, 1.0
    bench.peer.create_publisher(TFMessage, "/tf_static", LATCHED).publish(TFMessage(transforms=[transform]))
    publisher.publish(cloud_message(Header(stamp=Time(sec=5), frame_id="camera"), points))
    assert bench.spin_until(lambda: received["points"] and received["boxes"])
    objects, array = received["points"][0], received["boxes"][0]
    assert objects.header == array.header == Header(stamp=Time(sec=5), frame_id="map")
    cells = table(objects)
    assert len(cells) > 100
    assert cells["x"].min() > 19
