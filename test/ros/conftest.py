"""Real nodes in one process: the detector node on one executor thread, the test's own node on the test's thread."""

import contextlib
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

# Nodes of one process find each other without discovery; nothing else on the machine or network can interfere.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "OFF"
os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")


def pytest_configure(config):
    config.addinivalue_line("markers", "flaky: repeats a test that fails (pytest-rerunfailures)")


def pytest_collection_modifyitems(items):
    """Repeats a test of this folder once if it fails: its processes depend on DDS and on a machine that others use.

    The summary of pytest counts the repetitions. A test that is repeated often has a fault.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2))


# Fixtures that the tests of a module share, with the requests that made them.
shared = []


def pytest_fixture_setup(fixturedef, request):
    if fixturedef.scope == "module":
        shared.append((fixturedef, request))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """A test that is repeated gets new processes: its fault may be that of those that its module shares."""
    if getattr(item, "execution_count", 1) > 1:
        while shared:
            fixture, request = shared.pop()
            fixture.finish(request)


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
def join():
    """Starts nodes of the test: publishers with a profile, consumers of some outputs."""
    from node_process import Remote

    remotes = []

    def join(*outputs, profile=None):
        remotes.append(Remote(outputs=outputs, profile=profile))
        return remotes[-1]

    yield join
    for remote in remotes:
        remote.close()


@pytest.fixture
def points():
    """A table with a few boxes on it, 3000 points, metres."""
    rng = np.random.default_rng(0)
    table = rng.uniform((0, 0, 0), (1, 1, 0.01), (2000, 3))
    things = [rng.uniform((x, 0.4, 0), (x + 0.1, 0.5, 0.15), (500, 3)) for x in (0.2, 0.6)]
    return np.concatenate([table, *things]).astype(np.float32)


@pytest.fixture
def bench():
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    from node_bench import Bench

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
