"""A fault in the work on a cloud costs only that cloud and is shown in the diagnostics.

The node runs in a process of its own; levers make the detector fail (see faulty_node.py).
"""

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("torch")

import numpy as np
from node_process import FAULTY_NODE, Process
from std_msgs.msg import Header

from dspdet3d_ros.ros.faults import Level
from dspdet3d_ros.ros.interface.messages import cloud_message

HEADER = Header(frame_id="map")


@pytest.fixture(scope="module")
def process(tiny):
    with Process(tiny, FAULTY_NODE, input_reliability="reliable") as process:
        process.wait_for("active: taking clouds")
        yield process


@pytest.fixture
def cloud(points):
    return cloud_message(HEADER, points)


def recovers(remote, process, cloud):
    assert process.process.poll() is None
    array, _, _ = remote.ask(cloud)
    assert len(array.detections) > 3
    return remote.healthy(Level.OK, "active")


def configure(remote, **parameters):
    """Sets start-up parameters of the unconfigured node and brings it up."""
    assert remote.set(**parameters).successful
    assert remote.change("configure")
    assert remote.change("activate")
    remote.connect()


def test_14_out_of_memory_drops_the_cloud_and_the_next_one_is_answered(remote, process, cloud):
    before = recovers(remote, process, cloud)
    process.pull("out_of_memory")
    values = remote.provoke(cloud, Level.ERROR, "OutOfMemoryError")
    assert int(values["faults of kind memory"]) == int(before.get("faults of kind memory", 0)) + 1
    recovers(remote, process, cloud)


def test_14_a_cloud_too_large_for_the_address_space_is_dropped_and_the_next_one_is_answered(remote, process, cloud):
    recovers(remote, process, cloud)
    process.pull("memory 60")
    # One voxel for each point: the network would need gigabytes.
    large = cloud_message(HEADER, np.random.default_rng(0).uniform(0, 20, (400_000, 3)))
    remote.provoke(large, Level.ERROR, "lower max_points")
    process.pull("memory free")
    recovers(remote, process, cloud)


def test_27_boxes_that_are_not_finite_are_left_out_and_reported(remote, process, cloud):
    _, _, stats = remote.ask(cloud)
    assert stats.not_finite == 0
    process.pull("spoil")
    array, _, stats = remote.ask(cloud)
    assert (stats.not_finite, stats.detections) == (3, len(array.detections))
    assert array.detections
    assert all(min(d.bbox.size.x, d.bbox.size.y, d.bbox.size.z) > 0 for d in array.detections)
    remote.healthy(Level.ERROR, "3 boxes are not finite or without volume")
    recovers(remote, process, cloud)


def test_27_what_overflows_inside_the_network_is_left_out_and_reported(remote, process, cloud):
    process.pull("overflow")
    array, _, stats = remote.ask(cloud)
    assert list(array.detections) == []
    assert stats.not_finite > 0
    remote.healthy(Level.ERROR, "boxes are not finite or without volume")
    recovers(remote, process, cloud)


@pytest.mark.parametrize(("lever", "text"), [("leave", "has ended (SystemExit"), ("hang", "watchdog_timeout_s = 1 s")])
def test_28_a_dead_or_hanging_worker_is_an_error_that_leaves_the_node_unconfigured(remote, process, cloud, lever, text):
    recovers(remote, process, cloud)
    # Only the cloud that hangs meets a short limit: on a busy machine any other cloud may take as long.
    assert remote.change("deactivate")
    assert remote.change("cleanup")
    configure(remote, watchdog_timeout_s=1.0)
    process.pull(lever)
    remote.provoke(cloud, Level.ERROR, text)
    remote.until(lambda: remote.state() == "unconfigured", "the error path to end")
    values = remote.healthy(Level.ERROR, text)
    assert values["state"] == "unconfigured"
    configure(remote, watchdog_timeout_s=300.0)
    recovers(remote, process, cloud)


def test_16_a_lost_gpu_ends_the_process_with_a_status_for_respawn(remote, process, cloud):
    """The last test of this file: it ends the node that the others use."""
    recovers(remote, process, cloud)
    process.pull("illegal_access")
    remote.provoke(cloud, Level.ERROR, "the device cannot be used again")
    status, log = process.end()
    assert status == 1
    assert "illegal memory access" in log
