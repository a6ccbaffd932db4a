"""Short versions of `make load`, `make soak` and `make soak-accumulator`: node, publisher and client as processes."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

import numpy as np

from dspdet3d_ros.ros.tools.endurance import figures
from dspdet3d_ros.ros.tools.endurance.process_sample import ProcessSample


def run(name, out, *arguments):
    command = [
        sys.executable,
        "-m",
        f"dspdet3d_ros.ros.tools.endurance.{name}",
        "--out",
        str(out),
        *map(str, arguments),
    ]
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
    values = run("soak", tmp_path, "--minutes", 0.15, "--states", "configuring", "working")
    assert [name for name, passed in values["checks"].items() if not passed] == [], values
    assert values["done"]["activated"] >= 1
    assert len(values["ends"]) == 4


def test_an_accumulator_that_is_too_slow_for_its_camera_leaves_nothing_behind(tmp_path):
    pytest.importorskip("nav_msgs", reason="nav_msgs and std_srvs are not installed")
    arguments = ("--minutes", 0.2, "--on", 4, "--off", 2, "--states", "working")
    values = run("accumulator_soak", tmp_path, *arguments)
    assert [name for name, passed in values["checks"].items() if not passed] == [], values
    done = values["done"]
    assert done["activated"] >= 1
    assert done["resets"] >= 1
    assert done["results"] > 4
    # The first images may come before the calibration.
    assert values["refused_kinds"].keys() <= {"frame_camera", "frame_depth", "frame_pose", "frame_sync"}
    assert len(values["ends"]) == 2


def samples(megabytes):
    return [ProcessSample(float(t), megabytes(t), 20, 20) for t in range(3600)]


def test_a_leak_is_distinguished_from_noise_and_from_steps_of_the_allocator():
    rng = np.random.default_rng(0)
    hour = np.arange(3600) / 3600
    scatter, slow = rng.normal(0, 2, 3600), np.repeat(rng.normal(0, 1, 360), 10)
    for noise in (scatter, slow, 0 * hour, 20.0 * (hour > 0.6), -20.0 * (hour > 0.9)):
        assert figures.memory(samples(lambda t, noise=noise: 300 + noise[t]))["within_noise"]
    for noise in (scatter, slow, 0 * hour, 20.0 * (hour > 0.6)):
        found = figures.memory(samples(lambda t, noise=noise: 300 + noise[t] + 10 * hour[t]))
        assert not found["within_noise"]
    found = figures.memory(samples(lambda t: 300 + scatter[t] + 10 * hour[t]))
    assert abs(found["slope_mb_per_hour"] - 10) < found["slope_uncertainty_mb_per_hour"] < 2


def test_a_run_too_short_for_a_slope_has_none():
    assert "slope_mb_per_hour" not in figures.memory(samples(lambda t: 300.0)[:10])
