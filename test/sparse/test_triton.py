"""The Triton kernels compute what the torch engine computes, and compile for the usual GPUs.

Each part runs in a process of its own: Triton decides at its import whether it interprets or compiles.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse import make_engine

PARTS = Path(__file__).parent / "triton_parts"
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed (pip install triton)"
)


def run(part, **environment):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(PARTS / part)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_triton
def test_it_equals_the_torch_engine_in_the_interpreter():
    run("interpreted.py", TRITON_INTERPRET="1")


@needs_triton
def test_it_compiles_for_the_usual_gpus(tmp_path):
    run("compiled.py", TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))


def test_without_cuda_one_line_says_why(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(InputError, match=r"^backend triton: it needs a CUDA device, this is cpu; use backend"):
        make_engine("triton", torch.device("cpu"))
