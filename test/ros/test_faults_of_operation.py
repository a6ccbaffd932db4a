"""Mistakes of an operator or of other nodes are reported, and fixed without a restart of the node's process."""

import pickle
import re

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("torch")

import torch
from builtin_interfaces.msg import Time
from evil import Evil
from node_process import FAULTY_NODE, Process, Remote
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from dspdet3d_ros.ros.faults import Level
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.topics import DETECTIONS, STATS

NO_GPU = "cuda:99"


@pytest.fixture(scope="module")
def process(tiny):
    with Process(tiny, FAULTY_NODE, device=NO_GPU, input_reliability="reliable", tf_timeout_s=0.1) as process:
        process.wait_for("not started")
        yield process


@pytest.fixture(scope="module")
def remote(process):
    """Listens to nothing but the diagnostics."""
    with Remote(outputs=()) as remote:
        yield remote


@pytest.fixture
def activate(remote):
    """Brings the node to the state active with some settings, and afterwards to unconfigured with its good ones."""

    def activate(**settings):
        assert remote.set(device="cpu", **settings).successful
        assert remote.change("configure")
        assert remote.change("activate")
        remote.connect()

    yield activate
    assert remote.change("deactivate")
    assert remote.change("cleanup")
    assert remote.set(target_frame="").successful


@pytest.fixture
def listener(process):
    with Remote() as listener:
        yield listener


def cloud(points, seconds=1, frame="map"):
    return cloud_message(Header(stamp=Time(sec=seconds), frame_id=frame), points)


def test_15_a_gpu_that_is_not_there_is_reported_and_the_configuration_can_be_repeated(process, remote, activate):
    assert remote.set(device=NO_GPU).successful
    assert not remote.change("configure")
    assert remote.state() == "unconfigured"
    line = process.wait_for("cannot be configured")
    assert NO_GPU in line
    assert "use cpu or auto" in line
    remote.healthy(Level.ERROR, NO_GPU)
    activate()
    remote.healthy(Level.OK, "active")


def absent(path, _):
    return path, "no such file"


def truncated(path, good):
    path.write_bytes(good[: len(good) // 2])
    return path, "damaged"


def of_another_model(path, _):
    torch.save({"state_dict": {"backbone.conv.kernel": torch.zeros(3)}}, path)
    return path, "expected tensors of DSPDet3D, such as backbone.layer1.*.conv*.kernel, found none"


def with_code(path, _):
    torch.save({"state_dict": Evil(open, str(path.with_name("trace")), "w")}, path)
    return path, "holds code"


def bare_code(path, _):
    path.write_bytes(pickle.dumps(Evil(open, str(path.with_name("trace")), "w")))
    return path, "holds code"


@pytest.mark.parametrize("make", [absent, truncated, of_another_model, with_code, bare_code])
def test_17_weights_that_cannot_be_used_are_named_and_run_no_code(process, remote, activate, tiny, tmp_path, make):
    with open(tiny.checkpoint, "rb") as file:
        path, reason = make(tmp_path / "weights.pth", file.read())
    assert remote.set(device="cpu", checkpoint=str(path)).successful
    assert not remote.change("configure")
    line = process.wait_for("cannot be configured")
    assert str(path) in line
    assert reason in line
    assert not (tmp_path / "trace").exists()
    activate(checkpoint=tiny.checkpoint)


def test_13_a_class_the_model_does_not_know_is_refused_and_those_it_knows_are_listed(
    remote, activate, listener, points
):
    activate()
    result = remote.set(class_filter=["teapot"])
    assert not result.successful
    assert "teapot" in result.reason
    assert "cup, book, plant" in result.reason
    assert remote.set(class_filter=["book"]).successful
    assert {d.results[0].hypothesis.class_id for d in listener.ask(cloud(points))[0].detections} <= {"book"}
    assert remote.set(class_filter=[""]).successful
    assert len({d.results[0].hypothesis.class_id for d in listener.ask(cloud(points))[0].detections}) > 1


def test_18_without_a_transform_a_cloud_is_refused_and_one_in_the_target_frame_is_answered(
    remote, activate, listener, points
):
    activate(target_frame="map")
    listener.ask(cloud(points))
    values = remote.provoke(cloud(points, 2, "camera"), Level.WARN, "no transform from 'camera' to 'map'")
    assert int(values["faults of kind frame"]) >= 1
    assert listener.ask(cloud(points, 3))[0].header.frame_id == "map"
    remote.provoke(cloud(points, 4, ""), Level.WARN, "frame_id is empty")
    assert {array.header.stamp.sec for array in listener.received[DETECTIONS]} == {1, 3}


def test_21_of_a_burst_the_latest_cloud_is_processed_and_the_dropped_ones_are_counted(
    process, remote, activate, listener, points
):
    activate()
    # Whose clouds are answered loses none.
    listener.send(cloud(points), lambda: listener.received[STATS], "an answer", remote.input)
    before = listener.received[STATS][-1]
    process.pull("wait")
    remote.input.publish(cloud(points, 2))
    process.wait_for("waits")
    for number in range(3, 10):
        remote.input.publish(cloud(points[: 1000 + number], number))
        process.wait_for(f"took a cloud of {1000 + number} points")
    process.pull("go")
    listener.until(lambda: listener.received[STATS][-1].header.stamp.sec == 9, "the latest cloud's answer")
    assert [stats.header.stamp.sec for stats in listener.received[STATS]][-3:] == [1, 2, 9]
    last = listener.received[STATS][-1]
    assert last.clouds_processed - before.clouds_processed == 2
    assert last.clouds_dropped - before.clouds_dropped == 6
    assert last.clouds_received == last.clouds_processed + last.clouds_dropped + last.clouds_refused


def test_22_a_publisher_with_less_reliability_is_reported_with_both_policies(process, remote, activate):
    activate()
    profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = remote.node.create_publisher(PointCloud2, "/dspdet3d/input/points", profile)
    line = process.wait_for("no clouds can be received")
    remote.node.destroy_publisher(publisher)
    # Whose it is becomes known a little later than what it offers.
    assert re.search(r"asks for reliable, volatile, but .+ offers best_effort, volatile", line)
    assert "set input_reliability to auto" in line


def test_23_while_nobody_subscribes_nothing_is_computed_and_then_it_is(remote, activate, points):
    activate()
    remote.health.clear()

    def several_came():
        # Those that are sent before the node knows their publisher are lost.
        remote.input.publish(cloud(points))
        return int(remote.values().get("clouds_received", 0)) >= 3

    remote.until(several_came, "the node to receive three clouds")
    values = remote.values()
    assert (values["clouds_waiting"], values["clouds_processed"]) == ("1", "0")
    assert int(values["clouds_ignored"]) == int(values["clouds_received"]) - 1
    with Remote() as listener:
        listener.until(lambda: listener.received[DETECTIONS], "the answer to the cloud that waits")
        assert listener.received[DETECTIONS][0].header.stamp.sec == 1
        assert len(listener.ask(cloud(points, 4))[0].detections) > 0
