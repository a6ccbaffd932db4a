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
from dspdet3d_ros.sparse import choose_backend, make_engine
from dspdet3d_ros.sparse.triton import self_check, triton_engine

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


@needs_triton
def test_a_cloud_takes_few_launches():
    run("launches.py", TRITON_INTERPRET="1")


def test_kernels_are_launched_on_the_device_of_their_tensors():
    run("guarded.py", TRITON_INTERPRET="1")


def test_without_cuda_one_line_says_why(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(InputError, match=r"^backend triton: it needs a CUDA device, this is cpu; use backend"):
        make_engine("triton", torch.device("cpu"))


@pytest.fixture
def agrees(monkeypatch):
    monkeypatch.setattr(self_check, "largest_error", lambda _: 3.2e-4)


def test_auto_on_cuda_is_triton_where_it_can_run(monkeypatch, agrees):
    monkeypatch.setattr(triton_engine, "no_launcher", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 6))
    monkeypatch.setattr(triton_engine, "installed_version", lambda: "3.2.0")
    assert choose_backend("cuda:0") == ("triton", "CUDA with Triton, which differs by 3.2e-04 from plain torch")
    monkeypatch.setattr(triton_engine, "installed_version", lambda: "3.1.0")
    assert choose_backend("cuda:0") == ("torch", "no Triton kernels: Triton 3.1.0 is older than 3.2")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "T4")
    monkeypatch.setattr(triton_engine, "installed_version", lambda: "3.2.0")
    assert choose_backend("cuda:0")[1] == "no Triton kernels: T4 is older than compute capability 8.0"


def test_auto_on_cuda_is_torch_where_the_kernels_cannot_be_relied_on(monkeypatch):
    monkeypatch.setattr(triton_engine, "why_not", lambda _: None)
    self_check.forget()
    monkeypatch.setattr(self_check, "errors_of", lambda _: {"stride-1": 1e-4, "transposed": float("nan")})
    backend, reason = choose_backend("cuda:0")
    assert backend == "torch"
    assert reason == (
        "no Triton kernels: the result of a transposed convolution differs by nan from that of plain torch, "
        "expected at most 2e-03"
    )

    def fail(_):
        raise PermissionError(13, "Permission denied", "/root/.triton")

    self_check.forget()
    monkeypatch.setattr(self_check, "errors_of", fail)
    assert choose_backend("cuda:0")[0] == "torch"
    assert "PermissionError: [Errno 13] Permission denied: '/root/.triton'" in choose_backend("cuda:0")[1]
    self_check.forget()


def test_auto_on_cuda_is_torch_where_triton_cannot_compile(monkeypatch, tmp_path, agrees):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 6))
    monkeypatch.setattr(triton_engine, "installed_version", lambda: "3.2.0")
    monkeypatch.setenv("CC", "no-such-compiler")
    reason = "no Triton kernels: Triton needs a C compiler, and there is no no-such-compiler (apt install gcc)"
    assert choose_backend("cuda:0") == ("torch", reason)
    monkeypatch.delenv("CC")
    monkeypatch.setattr(triton_engine.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(triton_engine.sysconfig, "get_path", lambda _: str(tmp_path))
    assert "Python's headers" in choose_backend("cuda:0")[1]
    (tmp_path / "Python.h").touch()
    assert choose_backend("cuda:0")[0] == "triton"


@pytest.mark.parametrize("kept", ["file/cache", "file"])
def test_auto_on_cuda_is_torch_where_the_cache_cannot_be_written(monkeypatch, tmp_path, agrees, kept):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 6))
    monkeypatch.setattr(triton_engine, "installed_version", lambda: "3.2.0")
    monkeypatch.setattr(triton_engine, "no_launcher", lambda: None)
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / kept))
    backend, reason = choose_backend("cuda:0")
    assert backend == "torch"
    assert "Triton cannot write its cache" in reason
    assert "set TRITON_CACHE_DIR" in reason
    with pytest.raises(InputError, match=r"^backend triton: Triton cannot write its cache"):
        make_engine("triton", "cuda:0")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "new" / "cache"))
    assert choose_backend("cuda:0")[0] == "triton"


@pytest.mark.parametrize(
    ("precision", "text"), [("fp16", "needs backend triton, and here it is (native|torch)"), ("f8", "'f8'")]
)
def test_a_precision_that_the_backend_has_not_is_refused(precision, text):
    with pytest.raises(InputError, match=f"^precision: .*{text}"):
        make_engine("auto", "cpu", precision)
