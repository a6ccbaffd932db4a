"""Objects for a planner, where moveit_msgs is installed: names that stay, and removal of what is gone."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("moveit_msgs.msg", reason="moveit_msgs is not installed")

from moveit_msgs.msg import CollisionObject
from node_topics import HEADER
from sensor_msgs.msg import PointCloud2
from shape_msgs.msg import SolidPrimitive

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.topics import COLLISION_OBJECTS, INPUT


def test_objects_are_added_with_lasting_names_and_removed_when_they_are_gone(start, points, monkeypatch):
    blocks = np.array([[0.25, 0.45, 0.075, 0.1, 0.1, 0.15], [0.65, 0.45, 0.075, 0.1, 0.1, 0.15]])
    shown = [blocks]
    real = Detector.__call__

    def found(detector, cloud, settings):
        # The network of the test has random weights; these are the boxes of a good one.
        first = real(detector, cloud, settings).select(np.zeros(len(shown[0]), int))
        return replace(first, boxes=shown[0].copy())

    monkeypatch.setattr(Detector, "__call__", found)
    bench = start()
    received = []
    bench.peer.create_subscription(CollisionObject, f"/dspdet3d/{COLLISION_OBJECTS}", received.append, 100)
    publisher = bench.peer.create_publisher(PointCloud2, f"/dspdet3d/{INPUT}", 10)
    assert bench.spin_until(publisher.get_subscription_count)
    assert bench.spin_until(lambda: bench.node.subscribers.get(COLLISION_OBJECTS))

    def ask(cloud, count):
        received.clear()
        publisher.publish(cloud_message(HEADER, cloud))
        assert bench.spin_until(lambda: len(received) >= count)
        return {message.id: message for message in received}

    first = ask(points, 2)
    assert set(first) == {"object_1", "object_2"}
    for message in first.values():
        assert message.operation == CollisionObject.ADD
        assert message.header.frame_id == HEADER.frame_id
        (box,), (pose,) = message.primitives, message.primitive_poses
        assert box.type == SolidPrimitive.BOX
        np.testing.assert_allclose(box.dimensions, [0.1, 0.1, 0.15], atol=1e-6)
        assert min(abs(pose.position.x - x) for x in (0.25, 0.65)) < 1e-6
    places = {name: message.primitive_poses[0].position.x for name, message in first.items()}
    # In another order they keep their names.
    shown[0] = blocks[::-1]
    again = ask(points, 2)
    assert {name: pytest.approx(m.primitive_poses[0].position.x, abs=1e-6) for name, m in again.items()} == places
    # The right one is taken away, with its points.
    gone = next(name for name, x in places.items() if x > 0.5)
    shown[0] = blocks[:1]
    left = points[~((points[:, 0] > 0.58) & (points[:, 2] > 0.012))]
    removed = {}
    for _ in range(10):
        removed |= {name: m for name, m in ask(left, 1).items() if m.operation == CollisionObject.REMOVE}
        if removed:
            break
    assert set(removed) == {gone}
    last = ask(left, 1)
    assert set(last) == set(places) - {gone}
