"""scripts/gpu: its rehearsal runs every kind of step here and leaves its results."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 900


def test_the_rehearsal_leaves_a_result_of_every_step(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "gpu"), "--rehearse", "--seconds", str(LIMIT_S)]
    command += ["--output", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    log = (tmp_path / "out" / "log.txt").read_text()
    assert done.returncode == 0, done.stdout + log
    results = {result["name"]: result for result in json.loads((tmp_path / "out" / "results.json").read_text())}
    names = ["machine", "kernels against torch", "memory", "first start", "room", "scenes", "training"]
    assert list(results) == names
    assert all(result["state"] == "ok" or "not installed" in result["reason"] for result in results.values())
    assert results["room"]["figures"]["engines"]
    assert results["memory"]["figures"]["passed"]
    assert results["first start"]["figures"]["seconds"]["comparison"] >= 0
    if results["training"]["state"] == "ok":
        assert (tmp_path / "out" / "weights.pth").is_file()
    sizes = [path.stat().st_size for path in (tmp_path / "out").iterdir()]
    assert len(sizes) <= 8
    assert max(sizes) <= 16_000_000


def training(folder, iterations, *more):
    """The command that generates a scene, if there is none, and trains on it."""
    return [
        *(sys.executable, str(ROOT / "scripts" / "gpu"), "--rehearse", "--only", "scenes", "training"),
        *("--seconds", str(LIMIT_S), "--iterations", str(iterations)),
        *("--output", str(folder / "out"), "--work", str(folder / "work"), *more),
    ]


def iteration(checkpoint):
    return torch.load(checkpoint, map_location="cpu", weights_only=True)["iteration"]


def test_training_that_was_killed_continues_here_and_on_another_machine(tmp_path):
    pytest.importorskip("embreex")
    pytest.importorskip("tensorboard")
    first, second = tmp_path / "first", tmp_path / "second"
    subprocess.run(training(first, 1), check=True, timeout=LIMIT_S)
    assert iteration(first / "work" / "train" / "last.pth") == 1
    (first / "out" / "log.txt").unlink()
    killed = subprocess.Popen(training(first, 1000), start_new_session=True)
    try:
        # The second of these steps is under way.
        wait_for(lambda: " 2/1000 " in text_of(first / "out" / "log.txt"), killed)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    subprocess.run(training(first, 3), check=True, timeout=LIMIT_S)
    assert iteration(first / "work" / "train" / "last.pth") == 3
    # Only the results of the first machine are left.
    subprocess.run(training(second, 4, "--previous", str(first / "out")), check=True, timeout=LIMIT_S)
    assert iteration(second / "work" / "train" / "last.pth") == 4
    assert " 3/4 " in text_of(second / "out" / "log.txt"), "it begins where the other stopped"


def text_of(path):
    return path.read_text(errors="replace") if path.is_file() else ""


def wait_for(condition, process):
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert process.poll() is None, "the process has ended"
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it needs a machine without a GPU")
def test_a_step_that_fails_is_named_and_the_others_run(tmp_path):
    command = [
        sys.executable,
        str(ROOT / "scripts" / "gpu"),
        "--output",
        str(tmp_path),
        "--work",
        str(tmp_path / "work"),
    ]
    command += ["--only", "oracle, torch", "machine"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 1
    assert "failed: oracle, torch; see " in done.stdout
    assert [r["name"] for r in json.loads((tmp_path / "results.json").read_text())] == ["machine", "oracle, torch"]
