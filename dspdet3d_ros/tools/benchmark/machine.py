"""Description of the machine, and synchronisation with its GPU."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch

from dspdet3d_ros.system import usable_cores


def describe(device: torch.device) -> dict[str, Any]:
    """Processor, cores, threads, Python, torch, device and GPU, which the figures depend on."""
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
    """Waits until a GPU has done its work; returns at once on the CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
