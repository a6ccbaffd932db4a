"""Several processes train one network; each case runs in real processes."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorboard", reason="training logs need TensorBoard, which is not installed")

SCRIPT = Path(__file__).with_name("several_processes.py")


def run(case, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, SCRIPT, case, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


# With the larger weight gradients overflow, with the smaller one only the variance that the batch norm keeps.
@pytest.mark.parametrize("weight", ["1e38", "1e20"])
def test_a_batch_that_overflows_in_one_process_leaves_no_trace_in_any(tmp_path, weight):
    run("one_process_overflows", str(tmp_path), weight)


def test_a_validation_longer_than_the_timeout_of_an_exchange_ends_no_process(tmp_path):
    run("validation_takes_one_process_long", str(tmp_path))
