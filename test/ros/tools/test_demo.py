"""The demo runs the real node in its own process, and says in one line what did not arrive."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")


@pytest.fixture
def cloud(tmp_path, points):
    np.savez(tmp_path / "cloud.npz", xyz=points, boxes=[[0.25, 0.45, 0.07, 0.1, 0.1, 0.15]], names=["cup"])
    return tmp_path / "cloud.npz"


def demo(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "dspdet3d_ros.ros.tools.demo", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ,
        check=False,
    )


def test_the_demo_prints_and_writes_what_the_node_found(cloud, tiny, tmp_path):
    out = tmp_path / "out"
    done = demo(cloud, "--out", out, "-p", f"model:={tiny.model}", "-p", f"checkpoint:={tiny.checkpoint}")
    assert done.returncode == 0, done.stderr
    values = json.loads((out / "detections.json").read_text())
    assert values["frame_id"] == "map"
    assert values["pruning_threshold"] == 0.125
    assert len(values["detections"]) > 0
    assert values["stats"]["points_in"] == 3000
    assert (out / "detections.png").stat().st_size > 10_000
    lines = done.stdout.splitlines()
    table = next(i for i, line in enumerate(lines) if line.split()[:2] == ["class", "score"])
    first = values["detections"][0]
    assert lines[table + 1].split()[:2] == [first["class"], f"{first['score']:.2f}"]
    assert any("of 1 objects found" in line for line in lines)
    assert [line.split()[0] for line in lines[-4:]] == ["0.00", "0.30", "0.60", "0.90"]
    kept = [int(line.split()[4]) for line in lines[-4:]]
    assert kept[0] > 0
    assert kept == sorted(kept, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["absent.npz"], "absent.npz: no such file"),
        (["BIN", "--columns", "2"], "a.bin: cannot have 2 columns a point; name at least 3"),
        (["CLOUD", "-p", "checkpoint:=/no/such.pth"], "/no/such.pth"),
        (["CLOUD", "-p", "pruning_threshold:=7"], "pruning_threshold: expected a number in 0..1, got 7"),
        (["CLOUD", "-p", "autostart:=false", "--timeout", "2"], "waited 2 s for the detector node to become active"),
    ],
)
def test_what_did_not_arrive_is_said_in_one_line(cloud, tmp_path, arguments, text):
    (tmp_path / "a.bin").write_bytes(bytes(24))
    arguments = [
        argument.replace("CLOUD", str(cloud)).replace("BIN", str(tmp_path / "a.bin")) for argument in arguments
    ]
    done = demo(*arguments, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
