"""Two nodes in two namespaces, one for each camera or room, share the cores and nothing else."""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import numpy as np
from node_process import Process, Remote
from node_topics import boxes_of
from std_msgs.msg import Header

from dspdet3d_ros.ros.interface.messages import cloud_message


def test_two_nodes_in_two_namespaces_answer_each_its_own_clouds(tiny, points):
    common = {"threads": 1, "input_reliability": "reliable"}
    with Process(tiny, namespace="/left", **common) as left, Process(tiny, namespace="/right", **common) as right:
        for process in (left, right):
            assert process.wait_for("configured: model").rstrip().endswith("1 CPU thread")
            process.wait_for("active: taking clouds")
        with Remote("/left/dspdet3d") as one, Remote("/right/dspdet3d") as other:
            one.connect()
            other.connect()
            assert other.set(pruning_threshold=0.5).successful
            answers = []
            for _ in range(3):
                # Both work at the same time.
                other.input.publish(cloud_message(Header(frame_id="right"), points + np.float32([5, 0, 0])))
                answers.append(one.ask(cloud_message(Header(frame_id="left"), points)))
                other.until(lambda: other.received["output/stats"], "the answer of the other node")
            array, _, stats = answers[-1]
            far, far_stats = other.received["output/detections"][-1], other.received["output/stats"][-1]
            assert {a[0].header.frame_id for a in answers} == {"left"}
            assert {a.header.frame_id for a in other.received["output/detections"]} == {"right"}
            assert (stats.pruning_threshold, far_stats.pruning_threshold) == (0.125, 0.5)
            assert boxes_of(array)[:, 0].max() < 2.5 < boxes_of(far)[:, 0].min()
            assert stats.clouds_received == len(one.received["output/stats"])
