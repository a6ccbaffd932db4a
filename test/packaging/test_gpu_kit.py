"""scripts/gpu: its rehearsal runs every kind of step here and leaves its results."""

import json
import subprocess
import sys
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
    assert list(results) == ["machine", "kernels against torch", "room", "scenes", "training"]
    assert all(result["state"] == "ok" or "not installed" in result["reason"] for result in results.values())
    assert results["room"]["figures"]["engines"]
    if results["training"]["state"] == "ok":
        assert (tmp_path / "out" / "weights.pth").is_file()


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
