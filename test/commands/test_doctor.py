"""`dspdet3d doctor` runs in whole and in broken installations, and ends with 1 only where the node cannot run."""

import json
import os
import re
import subprocess
import sys

import pytest


def doctor(tmp_path, *arguments, hidden=(), **environment):
    """Status, output and findings by name; modules that are hidden cannot be imported."""
    for module in hidden:
        (tmp_path / f"{module}.py").write_text(f'raise ImportError("{module} is hidden")\n')
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "dspdet3d_ros", "doctor", "--json", str(tmp_path / "out.json"), *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    values = json.loads((tmp_path / "out.json").read_text())
    return done.returncode, done.stdout, {finding["name"]: finding for finding in values["findings"]}


def test_a_whole_installation_can_run_the_node(tmp_path):
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    pytest.importorskip("torch")
    status, text, found = doctor(tmp_path)
    assert status == 0, text
    assert "the node can run" in text.splitlines()[-1]
    assert {"python", "torch", "weights", "RMW", "messages", "shared memory", "tf2"} <= set(found)
    assert not [finding for finding in found.values() if finding["level"] == "problem"]


def test_without_rclpy_the_node_cannot_run_but_everything_else_is_looked_at(tmp_path):
    status, text, found = doctor(tmp_path, hidden=["rclpy"])
    assert status == 1
    assert found["ROS"]["level"] == "problem"
    assert "rclpy is hidden" in found["ROS"]["found"]
    assert "setup.bash" in found["ROS"]["fix"]
    assert {"weights", "discovery", "shared memory"} <= set(found)
    assert "cannot run: " in text.splitlines()[-1]


def test_without_torch_numpy_and_messages_each_is_named(tmp_path):
    status, text, found = doctor(tmp_path, hidden=["torch", "numpy", "vision_msgs"])
    assert status == 1
    assert found["torch"]["level"] == found["numpy"]["level"] == "problem"
    assert re.search("^problem +messages +vision_msgs/Detection3DArray cannot be used", text, re.M)
    assert "torch is hidden" in found["torch"]["found"]
    assert "numpy is hidden" in found["numpy"]["found"]
    assert found["weights"]["level"] == "ok"


def test_a_middleware_that_is_not_installed_is_a_problem(tmp_path):
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    status, _, found = doctor(tmp_path, RMW_IMPLEMENTATION="rmw_abacus_cpp")
    assert status == 1
    assert "rmw_abacus_cpp cannot be loaded: " in found["RMW"]["found"]
    assert "-rmw-abacus-cpp, or unset RMW_IMPLEMENTATION" in found["RMW"]["fix"]


def test_where_only_the_commands_are_wanted_ros_is_left_out(tmp_path):
    pytest.importorskip("torch")
    status, _, found = doctor(tmp_path, "--without-ros", hidden=["rclpy"])
    assert status == 0
    assert "ROS" not in found
