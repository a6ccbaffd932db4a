"""The first compilation of the kernels, in a process of its own: one that does not end can be stopped.

Triton keeps what it compiles in a folder, from which the process of the node takes it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from dspdet3d_ros.sparse.triton.triton_engine import cache_folder, installed_version

#: A compilation that takes longer is stopped.
LIMIT_S = 120.0
_KERNELS = Path(__file__).with_name("kernels.py")


class TooSlowError(Exception):
    """The kernels were not compiled within the limit."""


def compile_apart(device: torch.device, limit_s: float = LIMIT_S) -> float:
    """Compiles the kernels of the comparison and runs it once in another process, if that was not done before.

    They are kernels of the default model too: the warm-up takes them from Triton's folder.

    Args:
        device: a CUDA device.
        limit_s: seconds after which the process is ended.

    Returns:
        Seconds that it took; 0 if it was done before on this machine.

    Raises:
        TooSlowError: it took longer.
    """
    done = cache_folder() / f"dspdet3d_ros-{key_of(device)}"
    if done.exists():
        return 0.0
    started = time.monotonic()
    # If it fails, the comparison in this process fails too and says why, or the device serves one process only.
    if run_within([sys.executable, "-m", "dspdet3d_ros.sparse.triton.self_check", str(device)], limit_s) == 0:
        done.touch()
    return time.monotonic() - started


def run_within(command: Sequence[str], limit_s: float) -> int:
    """The exit status of a command.

    Raises:
        TooSlowError: it did not end within the limit; it and the processes that it started have been ended.
    """
    # A group of its own: a compiler that it started is ended with it.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise TooSlowError(f"compiling its kernels did not end within {limit_s:g} s") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)


def key_of(device: torch.device) -> str:
    """Digest of all that the compiled kernels depend on."""
    parts = (installed_version(), torch.__version__, torch.cuda.get_device_name(device), sys.version)
    text = "\n".join(map(str, (*parts, torch.cuda.get_device_capability(device))))
    return hashlib.sha256(_KERNELS.read_bytes() + text.encode()).hexdigest()[:32]
