"""The Triton kernels compute what the torch engine computes, and compile for the usual GPUs.

Each part runs in a process of its own: Triton decides at its import whether it interprets or compiles.
"""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse import choose_backend, make_engine
from dspdet3d_ros.sparse.triton import compiling_apart, self_check, triton_engine

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
    monkeypatch.setattr(self_check, "agreement", lambda _: self_check.Agreement(3.2e-4, 21.4, 0.3))


def test_auto_on_cuda_is_triton_where_it_can_run(monkeypatch, agrees):
    monkeypatch.setattr(triton_engine, "no_launcher", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (8, 6))
    monkeypatch.setattr(triton_engine, "installed_version", lambda: "3.2.0")
    assert choose_backend("cuda:0") == (
        "triton",
        "CUDA with Triton, which differs by 3.2e-04 from plain torch, compared in 0.30 s, after 21 s for compiling",
    )
    monkeypatch.setattr(triton_engine, "installed_version", lambda: "3.1.0")
    assert choose_backend("cuda:0") == ("torch", "no Triton kernels: Triton 3.1.0 is older than 3.2")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "T4")
    monkeypatch.setattr(triton_engine, "installed_version", lambda: "3.2.0")
    assert choose_backend("cuda:0")[1] == "no Triton kernels: T4 is older than compute capability 8.0"


def test_auto_on_cuda_is_torch_where_the_kernels_cannot_be_relied_on(monkeypatch):
    monkeypatch.setattr(triton_engine, "why_not", lambda _: None)
    monkeypatch.setattr(self_check, "compile_apart", lambda _: 0.0)
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


def test_auto_on_cuda_is_torch_where_compiling_does_not_end(monkeypatch):
    def endless(_):
        raise compiling_apart.TooSlowError("compiling its kernels did not end within 120 s")

    monkeypatch.setattr(triton_engine, "why_not", lambda _: None)
    monkeypatch.setattr(self_check, "compile_apart", endless)
    self_check.forget()
    assert choose_backend("cuda:0") == ("torch", "no Triton kernels: compiling its kernels did not end within 120 s")
    self_check.forget()


def test_a_compilation_that_does_not_end_is_stopped_with_the_compiler_that_it_started(tmp_path):
    started, limit_s = tmp_path / "started", 1
    script = (
        "import subprocess, sys; compiler = subprocess.Popen(['sleep', '600']); "
        "open(sys.argv[1], 'w').write(f'{compiler.pid}.'); compiler.wait()"
    )
    while not started.exists() or not started.read_text().endswith("."):
        with pytest.raises(compiling_apart.TooSlowError, match=f"did not end within {limit_s} s"):
            compiling_apart.run_within([sys.executable, "-c", script, str(started)], limit_s)
        limit_s *= 2
    compiler = Path("/proc", started.read_text().rstrip("."), "stat")
    for _ in range(600):
        # Where nobody collects it, the process that has ended remains as "Z".
        if not compiler.exists() or compiler.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the compiler still runs")


def test_a_compilation_that_ends_has_a_status():
    assert [compiling_apart.run_within([sys.executable, "-c", f"exit({n})"], 60) for n in (0, 3)] == [0, 3]


def test_kernels_are_compiled_apart_once_on_a_machine(monkeypatch, tmp_path):
    commands, status = [], [1, 0]
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiling_apart, "key_of", lambda _: "key")
    monkeypatch.setattr(compiling_apart, "run_within", lambda *args: (commands.append(args), status.pop(0))[1])
    for _ in range(3):
        compiling_apart.compile_apart(torch.device("cuda:0"))
    # The first one failed, the second one did it.
    assert [limit_s for _, limit_s in commands] == [compiling_apart.LIMIT_S] * 2


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
