"""Clouds are brought to the target frame by the right motion, or refused with what is missing."""

import importlib.util
import time

import numpy as np
import pytest
from limits import WAIT_S

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from builtin_interfaces.msg import Time
from rclpy.context import Context
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.qos import LATCHED
from dspdet3d_ros.ros.pipeline.frames import TargetFrame
from dspdet3d_ros.ros.placement import FrameError, moved, rotation_matrix

HAS_TF2 = importlib.util.find_spec("tf2_ros") is not None


def by_hamilton(quaternion, point):
    """q p q* by the rules of quaternion multiplication."""

    def times(a, b):
        (x1, y1, z1, w1), (x2, y2, z2, w2) = a, b
        return (
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
        )

    x, y, z, w = quaternion
    return times(times(quaternion, (*point, 0.0)), (-x, -y, -z, w))[:3]


def test_points_move_as_quaternions_say():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20, 3)).astype(np.float32)
    for quaternion in rng.normal(size=(20, 4)):
        unit = quaternion / np.linalg.norm(quaternion)
        shift = rng.normal(size=3) * 10_000
        expected = np.array([by_hamilton(unit, point) for point in points.astype(np.float64)]) + shift
        np.testing.assert_allclose(moved(points, shift, quaternion), expected, atol=1e-10)


def test_a_camera_that_looks_ahead_sees_ahead():
    """The optical frame of REP 103 (x right, y down, z ahead) in a body frame (x ahead, y left, z up)."""
    rotation = rotation_matrix((-0.5, 0.5, -0.5, 0.5))
    np.testing.assert_allclose(rotation @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation @ [1, 0, 0], [0, -1, 0], atol=1e-12)


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (np.nan, 0, 0, 1), (np.inf, 0, 0, 1)])
def test_what_is_no_rotation_is_refused(quaternion):
    with pytest.raises(FrameError, match="expected a quaternion"):
        rotation_matrix(quaternion)


def test_a_translation_that_is_not_finite_is_refused():
    with pytest.raises(FrameError, match="expected finite numbers"):
        moved(np.zeros((1, 3)), (np.nan, 0, 0), (0, 0, 0, 1))


@pytest.fixture
def node():
    import rclpy

    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node("frames", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def test_a_cloud_in_the_target_frame_stays_as_it_is(node):
    points, header = np.ones((3, 3), np.float32), Header(frame_id="map")
    placement = TargetFrame(node, "map", 0.0).find(header)
    assert placement.header == header
    assert placement.apply(points) is points


def test_a_cloud_without_a_frame_is_refused(node):
    with pytest.raises(FrameError, match="frame_id is empty"):
        TargetFrame(node, "map", 0.0).find(Header())


@pytest.mark.skipif(HAS_TF2, reason="tf2_ros is installed here")
def test_without_tf2_a_cloud_in_another_frame_is_refused_with_what_to_install(node):
    with pytest.raises(FrameError, match="apt install"):
        TargetFrame(node, "map", 0.0).find(Header(stamp=Time(sec=1), frame_id="camera"))


@pytest.mark.skipif(HAS_TF2, reason="tf2_ros is installed here")
def test_a_node_without_tf2_refuses_other_frames_and_answers_clouds_in_the_target_frame(start, points):
    bench, answers = start(target_frame="map"), []
    publisher = bench.peer.create_publisher(PointCloud2, "/dspdet3d/input/points", 1)
    bench.peer.create_subscription(Detection3DArray, "/dspdet3d/output/detections", answers.append, 1)
    assert bench.spin_until(lambda: any(bench.node.subscribers.values()) and publisher.get_subscription_count())
    publisher.publish(cloud_message(Header(stamp=Time(sec=1), frame_id="camera"), points))
    assert bench.spin_until(lambda: bench.figures().get("faults of kind frame") == "1")
    assert "no transform from 'camera' to 'map'" in bench.node.status.message
    publisher.publish(cloud_message(Header(stamp=Time(sec=2), frame_id="map"), points))
    assert bench.spin_until(lambda: answers)
    assert [answer.header.stamp.sec for answer in answers] == [2]
    assert bench.spin_until(lambda: "no transform" not in bench.node.status.message)


@pytest.mark.skipif(not HAS_TF2, reason="tf2_ros comes with a ROS installation only")
def test_with_tf2_a_cloud_is_moved_at_its_stamp_and_unknown_frames_are_listed(node):
    from geometry_msgs.msg import TransformStamped

    target = TargetFrame(node, "map", 0.05)
    transform = TransformStamped(header=Header(stamp=Time(sec=5), frame_id="map"), child_frame_id="camera")
    transform.transform.translation.x, transform.transform.rotation.w = 2.0, 1.0
    target.transforms.buffer.set_transform(transform, "test")
    placement = target.find(Header(stamp=Time(sec=5), frame_id="camera"))
    np.testing.assert_allclose(placement.apply(np.zeros((1, 3))), [[2, 0, 0]])
    assert placement.header == Header(stamp=Time(sec=5), frame_id="map")
    for header in (Header(stamp=Time(sec=5), frame_id="lidar"), Header(stamp=Time(sec=6), frame_id="camera")):
        with pytest.raises(FrameError, match="camera"):
            target.find(header)
    with pytest.raises(FrameError, match="stamp is zero"):
        target.find(Header(frame_id="camera"))


def transform_at(seconds, x, child="camera"):
    from geometry_msgs.msg import TransformStamped

    transform = TransformStamped(header=Header(frame_id="map"), child_frame_id=child)
    transform.header.stamp = Time(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))
    transform.transform.translation.x, transform.transform.rotation.w = float(x), 1.0
    return transform


def x_at(target, seconds, frame="camera"):
    """The x coordinate of the origin of a frame at a time."""
    stamp = Time(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))
    return target.find(Header(stamp=stamp, frame_id=frame)).apply(np.zeros((1, 3)))[0, 0]


@pytest.mark.skipif(not HAS_TF2, reason="tf2_ros comes with a ROS installation only")
@pytest.mark.parametrize("back", [2, 30], ids=["within_what_tf2_keeps", "before_it"])
def test_where_transforms_jump_back_those_of_before_are_forgotten_without_sim_time(node, capfd, back):
    from rclpy.executors import SingleThreadedExecutor
    from tf2_msgs.msg import TFMessage

    target = TargetFrame(node, "map", 0.0)
    dynamic = node.create_publisher(TFMessage, "/tf", 100)
    static = node.create_publisher(TFMessage, "/tf_static", LATCHED)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def spin_until(seconds, frame="camera"):
        end = time.monotonic() + WAIT_S
        while True:
            executor.spin_once(timeout_sec=0.05)
            try:
                return x_at(target, seconds, frame)
            except FrameError:
                assert time.monotonic() < end

    static.publish(TFMessage(transforms=[transform_at(0, 7, child="lidar")]))
    for step in range(11):
        dynamic.publish(TFMessage(transforms=[transform_at(100 + step / 10, step)]))
    assert spin_until(101) == 10
    assert x_at(target, 100.55) == pytest.approx(5.5)
    # The bag starts again, with the camera elsewhere.
    for step in (0, 1):
        dynamic.publish(TFMessage(transforms=[transform_at(100.5 - back + step / 2, 50 + step)]))
    assert spin_until(101 - back) == 51
    with pytest.raises(FrameError):
        x_at(target, 100.5)
    assert spin_until(100.75 - back) == 50.5
    assert spin_until(1, "lidar") == 7
    assert capfd.readouterr().err.count("the transforms of 'camera' jump back by") == 1
    target.close()
    executor.shutdown()


@pytest.mark.skipif(not HAS_TF2, reason="tf2_ros comes with a ROS installation only")
def test_transforms_that_come_a_little_late_or_are_of_several_clocks_forget_nothing(node, capfd):
    target = TargetFrame(node, "map", 0.0)
    for seconds, x in ((100, 0), (101, 1), (100.5, 5)):
        target.transforms.buffer.set_transform(transform_at(seconds, x), "test")
    for seconds in (50, 51):
        target.transforms.buffer.set_transform(transform_at(seconds, 9, child="arm"), "test")
    assert (x_at(target, 100.25), x_at(target, 101), x_at(target, 50.5, "arm")) == (2.5, 1, 9)
    assert "jump back" not in capfd.readouterr().err
