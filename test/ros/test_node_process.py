"""The node as a process: SIGINT and SIGTERM end it with status 0 in every state, without a traceback."""

import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import numpy as np
import rclpy
from limits import WAIT_S
from node_process import FAULTY_NODE, NODE, Remote
from own_domain import DOMAIN
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dspdet3d_ros.ros.interface.messages import cloud_message


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


def test_beyond_torch_numpy_and_ros_a_detecting_node_imports_only_the_standard_library():
    code = (
        "import sys, torch, numpy, yaml, rclpy\n"
        "before = set(sys.modules)\n"
        "import dspdet3d_ros.ros.detector_node\n"
        "from dspdet3d_ros.detector.predictor import Detector, synthetic_room\n"
        "Detector.load(device='cpu')(synthetic_room(5000))\n"
        "print(*(set(sys.modules) - before))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S)
    assert result.returncode == 0, result.stderr
    added = set(result.stdout.split())
    packages = {name.split(".")[0] for name in added} - sys.stdlib_module_names
    others = {name for name in packages if not name.endswith(("_msgs", "_srvs", "_interfaces"))}
    # Extensions that Cython compiled share a module of that name.
    assert {name for name in others if not name.startswith("_cython")} <= {"dspdet3d_ros", "torch", "numpy", "rclpy"}
    slow = ("torch._dynamo", "torch._inductor", "torch.export", "torch.onnx", "torch.distributed", "torch.testing")
    assert not [name for name in added if name.startswith(slow)]


def test_a_python_without_torch_is_named_in_one_line_and_the_node_lives(launch):
    without = (
        "import sys; sys.modules['torch'] = None; from dspdet3d_ros.ros.detector_node import main; sys.exit(main())"
    )
    process = launch(command=[sys.executable, "-c", without])
    line = process.wait_for("cannot be configured")
    assert f"needs the Python package torch, which is not installed for {sys.executable}; " in line
    process.wait_for("fix the error above: the node is unconfigured: run `ros2 lifecycle set /dspdet3d")
    status, log = process.end(signal.SIGINT)
    assert status == 0
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--params-file", "/no/such.yaml", "/no/such.yaml"),
        ("-r", "__node:=7up", "__node:=7up"),
        ("-p", "pruning_threshold", "pruning_threshold"),
        ("-p", "use_sim_time:=soon", "'use_sim_time' to 'soon'"),
    ],
)
def test_arguments_that_ros_cannot_take_are_reported_without_a_traceback(option, value, named):
    done = subprocess.run([*NODE, "--ros-args", option, value], capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("cannot start: ")
    assert named in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_ends_well_in_every_state_that_an_operator_brings_it_to(launch, number):
    for transitions in ((), ("configure",), ("shutdown",)):
        process, remote = launch(autostart="false"), Remote()
        try:
            for transition in transitions:
                assert remote.change(transition)
            remote.state()
        finally:
            remote.close()
        status, log = process.end(number)
        assert status == 0, log
        assert "Traceback" not in log


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
    """Publishes again and again: clouds that are sent before both sides know each other may be lost."""
    while process.process.poll() is None:
        publisher.publish(message)
        time.sleep(0.2)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_ends_well_while_it_processes_an_error(launch, points, number):
    process = launch(command=FAULTY_NODE, input_reliability="reliable", watchdog_timeout_s=2.0)
    process.wait_for("active: taking clouds")
    process.pull("hang")
    with Remote() as remote:
        remote.connect()
        message = cloud_message(Header(frame_id="map"), points)
        sender = threading.Thread(target=publish_until_ended, args=(remote.input, message, process), daemon=True)
        sender.start()
        # The worker hangs, and the node leaves it to its error processing from here on.
        process.wait_for("watchdog_timeout_s")
        status, log = process.end(number)
        sender.join(WAIT_S)
    assert status == 0, log
    assert "Traceback" not in log
