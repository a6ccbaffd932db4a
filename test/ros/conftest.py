"""Real nodes in one process: the detector node on one executor thread, the test's own node on the test's thread."""

import contextlib
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

# Nodes of one process find each other without discovery; nothing else on the machine or network can interfere.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "OFF"
os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")

WAIT_S = 60
# How often a service is looked for within that time.
TRIES = 6


def pytest_configure(config):
    config.addinivalue_line("markers", "flaky: repeats a test that fails (pytest-rerunfailures)")


def pytest_collection_modifyitems(items):
    """Repeats a test of this folder once if it fails: its processes depend on DDS and on a machine that others use.

    The summary of pytest counts the repetitions. A test that is repeated often has a fault.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A real network, very narrow, with random weights, as a model file and a checkpoint."""
    import torch
    import yaml

    from dspdet3d_ros.detector.checkpoint import save_checkpoint
    from dspdet3d_ros.detector.config import ModelConfig
    from dspdet3d_ros.detector.network import DSPDet3D

    folder = tmp_path_factory.mktemp("tiny")
    values = {
        "classes": ["cup", "book", "plant"],
        "voxel_size": 0.02,
        "widths": [4, 4, 4, 4],
        "blocks": [1, 1, 1, 1],
        "head_width": 4,
        "pruning_threshold": 0.125,
        "score_threshold": 0.0,
        "nms_iou_threshold": 0.75,
        "nms_pre": 100,
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"model": values}))
    torch.manual_seed(0)
    network = DSPDet3D(ModelConfig.from_dict(values))
    save_checkpoint(folder / "tiny.pth", {"state_dict": network.state_dict()})
    return SimpleNamespace(model=str(folder / "tiny.yaml"), checkpoint=str(folder / "tiny.pth"), folder=folder)


@pytest.fixture(scope="module")
def remote(process):
    """A node of the test, next to the active node in the `process` of its module."""
    from node_process import Remote

    with Remote() as remote:
        remote.connect()
        yield remote


@pytest.fixture
def launch(tiny):
    """Starts nodes in processes of their own."""
    from node_process import Process

    with contextlib.ExitStack() as processes:
        yield lambda **parameters: processes.enter_context(Process(tiny, **parameters))


@pytest.fixture
def points():
    """A table with a few boxes on it, 3000 points, metres."""
    rng = np.random.default_rng(0)
    table = rng.uniform((0, 0, 0), (1, 1, 0.01), (2000, 3))
    things = [rng.uniform((x, 0.4, 0), (x + 0.1, 0.5, 0.15), (500, 3)) for x in (0.2, 0.6)]
    return np.concatenate([table, *things]).astype(np.float32)


class Bench:
    """A detector node on a thread of its own, and a node of the test."""

    def __init__(self):
        import rclpy
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor

        self.context = Context()
        rclpy.init(context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.own_executor = SingleThreadedExecutor(context=self.context)
        self.peer = rclpy.create_node("peer", context=self.context)
        self.own_executor.add_node(self.peer)
        self.node = None
        self._thread = None

    def start(self, cli_args=(), **parameters):
        """Starts the detector node with these parameters."""
        from rclpy.parameter import Parameter

        from dspdet3d_ros.ros.detector_node import DetectorNode

        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = DetectorNode(context=self.context, parameter_overrides=overrides, cli_args=list(cli_args))
        self.executor.add_node(self.node)
        self._thread = threading.Thread(target=self.executor.spin, daemon=True)
        self._thread.start()
        return self.node

    def spin_until(self, condition, timeout_s=WAIT_S):
        """Spins the test's node until the condition holds; false where it does not within the time."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                return False
            self.own_executor.spin_once(timeout_sec=0.02)
        return True

    def spin_for(self, seconds):
        """Gives messages that should not come the time to come."""
        self.spin_until(lambda: False, seconds)

    def call(self, kind, service, request):
        """Calls a service of the detector node."""
        for _ in range(TRIES):
            client = self.peer.create_client(kind, f"/dspdet3d/{service}")
            if client.wait_for_service(WAIT_S / TRIES):
                break
            # Fast DDS may miss a pair of endpoints that two threads of one participant make at the same time.
            self.peer.destroy_client(client)
        else:
            raise AssertionError(f"the service {service} was not found")
        future = client.call_async(request)
        assert self.spin_until(future.done), f"{service} did not answer"
        self.peer.destroy_client(client)
        return future.result()

    def set(self, *, atomically=False, **values):
        """Sets parameters through the service, as `ros2 param set` does; returns the results."""
        from rcl_interfaces.srv import SetParameters, SetParametersAtomically
        from rclpy.parameter import Parameter

        parameters = [
            value.to_parameter_msg()
            if isinstance(value, Parameter)
            else Parameter(name, value=value).to_parameter_msg()
            for name, value in values.items()
        ]
        if atomically:
            request = SetParametersAtomically.Request(parameters=parameters)
            return self.call(SetParametersAtomically, "set_parameters_atomically", request).result
        return self.call(SetParameters, "set_parameters", SetParameters.Request(parameters=parameters)).results[0]

    def get(self, name):
        """A parameter's value through the service."""
        from rcl_interfaces.srv import GetParameters
        from rclpy.parameter import parameter_value_to_python

        values = self.call(GetParameters, "get_parameters", GetParameters.Request(names=[name])).values
        return parameter_value_to_python(values[0])

    def change(self, transition):
        """Triggers a lifecycle transition, given by label or number, through the service; whether it succeeded."""
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState

        wanted = Transition(label=transition) if isinstance(transition, str) else Transition(id=transition)
        request = ChangeState.Request(transition=wanted)
        return self.call(ChangeState, "change_state", request).success

    def state(self):
        """The node's lifecycle state."""
        from lifecycle_msgs.srv import GetState

        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def wait_for_state(self, label):
        """Whether the node comes into a state."""
        end = time.monotonic() + WAIT_S
        while self.state() != label:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def figures(self):
        """The node's values on /diagnostics, as they are now."""
        return {value.key: value.value for value in self.node.status.values}

    def close(self):
        """Ends everything."""
        self.executor.shutdown()
        if self._thread:
            self._thread.join(WAIT_S)
        if self.node:
            assert self.node.close(WAIT_S)
            self.node.destroy_node()
        self.own_executor.shutdown()
        self.peer.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def bench():
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def start(bench, tiny):
    """Starts the node with the tiny model on the CPU and waits until it is active.

    Its subscription has a fixed quality of service; test_use.py tests one that follows the publishers.
    """

    def start(**parameters):
        policies = {"input_reliability": "reliable", "input_durability": "volatile"}
        bench.start(**{"model": tiny.model, "checkpoint": tiny.checkpoint, "device": "cpu", **policies, **parameters})
        assert bench.wait_for_state("active")
        return bench

    return start


@pytest.fixture
def gate(monkeypatch):
    """Holds the detector up before each cloud."""
    from node_topics import Gate

    gate = Gate(monkeypatch)
    yield gate
    gate.open(1000)
