"""The machine that is measured on: what it is, its threads, its memory."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch

from dspdet3d_ros.system import usable_cores


def describe(device: torch.device) -> dict[str, Any]:
    """What a reader of the figures must know of the machine."""
    values = {
        "processor": _processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": str(device),
    }
    if device.type == "cuda":
        values["gpu"] = torch.cuda.get_device_name(device)
    return values


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def synchronise(device: torch.device) -> None:
    """Waits for the work given to a GPU; on the CPU there is nothing to wait for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
