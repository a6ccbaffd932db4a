"""The node as a process: SIGINT and SIGTERM end it with status 0 in every state, without a traceback."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dspdet3d_ros.ros.messages import cloud_message

WAIT_S = 60
DOMAIN = 1 + os.getpid() % 100


class Process:
    """The node's process and the lines it has written."""

    def __init__(self, tiny, **parameters):
        values = {"model": tiny.model, "checkpoint": tiny.checkpoint, "device": "cpu", **parameters}
        arguments = [a for name, value in values.items() for a in ("-p", f"{name}:={value}")]
        environment = {**os.environ, "ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dspdet3d_ros.ros.detector_node", "--ros-args", "--log-level", "dspdet3d:=debug"]
            + arguments,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.lines, self._new = [], queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stderr:
            self._new.put(line)

    def wait_for(self, text):
        """Waits for a line with this text in the log."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            try:
                self.lines.append(self._new.get(timeout=0.1))
            except queue.Empty:
                continue
            if text in self.lines[-1]:
                return
        raise AssertionError(f"no '{text}' in:\n{''.join(self.lines)}")

    def end(self, number):
        """Sends a signal; returns the exit status and all that was written."""
        self.process.send_signal(number)
        status = self.process.wait(WAIT_S)
        while not self._new.empty():
            self.lines.append(self._new.get())
        return status, "".join(self.lines)


@pytest.fixture
def launch(tiny):
    processes = []

    def launch(**parameters):
        processes.append(Process(tiny, **parameters))
        return processes[-1]

    yield launch
    for process in processes:
        if process.process.poll() is None:
            process.process.kill()
            process.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_active_node_ends_well(launch, number):
    process = launch()
    process.wait_for("active: taking clouds")
    status, log = process.end(number)
    assert status == 0, log
    assert "Traceback" not in log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_whose_configuration_failed_lives_and_ends_well(launch, number):
    process = launch(device="cuda:99")
    process.wait_for("not started")
    status, log = process.end(number)
    assert status == 0, log
    assert "Traceback" not in log
    assert "cuda:99" in log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_ends_well_while_it_works_on_a_cloud(launch, monkeypatch, number):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    process = launch(input_reliability="reliable")
    process.wait_for("active: taking clouds")
    context = Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    node = rclpy.create_node("peer", context=context, parameter_overrides=[Parameter("use_sim_time", value=False)])
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    node.create_subscription(Detection3DArray, "/dspdet3d/output/detections", lambda _: None, 1)
    publisher = node.create_publisher(PointCloud2, "/dspdet3d/input/points", 1)
    end = time.monotonic() + WAIT_S
    while not (publisher.get_subscription_count() and node.count_publishers("/dspdet3d/output/detections")):
        assert time.monotonic() < end
        executor.spin_once(timeout_sec=0.05)
    # One voxel for each point: this takes many seconds.
    points = np.random.default_rng(0).uniform(0, 12, (600_000, 3))
    message = cloud_message(Header(frame_id="map"), points)
    sender = threading.Thread(target=publish_until_ended, args=(publisher, message, process), daemon=True)
    sender.start()
    process.wait_for("took a cloud of 600000 points")
    status, log = process.end(number)
    sender.join(WAIT_S)
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()
    assert status == 0, log
    assert "Traceback" not in log


def publish_until_ended(publisher, message, process):
    """The node counts a cloud that comes before it knows its subscribers, but does not work on it: so send again."""
    while process.process.poll() is None:
        publisher.publish(message)
        time.sleep(0.2)
