"""`dspdet3d benchmark --node` measures the real node in a process of its own."""

import json
import os

import numpy as np
import pytest

from dspdet3d_ros.cli import main


@pytest.fixture
def environment():
    """Settings that separate ROS processes are set in the environment, and restored."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_what_is_spent_outside_the_network(tmp_path, environment):
    cloud, out = tmp_path / "cloud.npy", tmp_path / "figures.json"
    rng = np.random.default_rng(0)
    np.save(cloud, np.column_stack([rng.uniform(-1, 1, (4000, 2)), rng.uniform(0, 0.3, 4000)]))
    arguments = ["--node", "--device", "cpu", "--tau", "0.9", "--scene", str(cloud), "--repeats", "2", "--warmup", "1"]
    assert main(["benchmark", *arguments, "--json", str(out)]) == 0
    node = json.loads(out.read_text())["node"]
    assert node["points"] == 4000
    assert 0 < node["network_ms"]["median"] < node["latency_ms"]["median"]
    assert 0 < node["share_outside_network"]["median"] < 1
    assert node["start_ms"] > node["latency_ms"]["median"]
    assert node["rest_mb"] > 50
