"""Short versions of `make load` and `make soak`: the real node, a publisher and a client in processes of their own."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from dspdet3d_ros.ros.endurance import figures
from dspdet3d_ros.ros.endurance.process import Sample


def run(name, out, *arguments):
    command = [sys.executable, "-m", f"dspdet3d_ros.ros.endurance.{name}", "--out", str(out), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ, check=False)
    assert (out / f"{name}.json").is_file(), done.stdout + done.stderr
    assert (out / f"{name}.png").stat().st_size > 5000
    return json.loads((out / f"{name}.json").read_text())


def test_under_load_every_cloud_is_accounted_for_and_results_are_ever_newer(tmp_path):
    values = run("load", tmp_path, "--minutes", 0.15, "--points", 50_000)
    clouds, checks = values["clouds"], values["checks"]
    # How fast the node answers depends on what else the machine does.
    failed = [name for name, passed in checks.items() if not passed and "at p99" not in name]
    assert failed == [], values
    assert clouds["sent"] == clouds["not_taken"] + clouds["processed"] + clouds["dropped"] + clouds["refused"]
    assert clouds["not_taken"] >= 0
    assert clouds["processed"] > 0
    assert values["answers_ms"]["set_parameters"]["count"] > 0


def test_cycles_and_signals_leave_nothing_behind(tmp_path):
    values = run("soak", tmp_path, "--minutes", 0.15, "--states", "inactive", "working")
    assert [name for name, passed in values["checks"].items() if not passed] == [], values
    assert values["done"]["activated"] >= 1
    assert len(values["ends"]) == 4


def test_a_leak_is_told_from_noise():
    steady = [Sample(float(t), 300 + 5 * (t % 3), 20, 20) for t in range(600)]
    leaking = [Sample(float(t), 300 + 0.1 * t, 20, 20) for t in range(600)]
    assert figures.memory(steady)["within_noise"]
    found = figures.memory(leaking)
    assert not found["within_noise"]
    assert found["slope_mb_per_hour"] == pytest.approx(360, rel=0.01)
