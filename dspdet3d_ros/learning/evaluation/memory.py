"""The most memory that a piece of work takes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from dspdet3d_ros.system import memory_bytes, process_status

Result = TypeVar("Result")
_CLEAR = Path("/proc/self/clear_refs")
#: Written to `clear_refs`: take the present resident set as the peak (proc(5)).
_RESET_PEAK = "5"


@dataclass(frozen=True)
class Peak:
    """Memory of a piece of work, in bytes: resident memory of this process, or what torch took on a GPU.

    Attributes:
        before: in use before it.
        most: in use at the most during it.
    """

    before: int
    most: int

    @property
    def taken(self) -> int:
        """What the work took, at the most."""
        return max(self.most - self.before, 0)


def peak_of(work: Callable[[], Result], device: str) -> tuple[Result, Peak | None]:
    """Does the work.

    Args:
        work: what to do.
        device: "cpu", or the CUDA device whose memory counts.

    Returns:
        What it gave, and its memory; None where the system does not say (it does on Linux).
    """
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = work()
        return result, Peak(before, torch.cuda.max_memory_allocated(device))
    if not os.access(_CLEAR, os.W_OK):
        return work(), None
    _give_back()
    _CLEAR.write_text(_RESET_PEAK)
    before = memory_bytes(process_status(), "VmRSS")
    result = work()
    return result, Peak(before, memory_bytes(process_status(), "VmHWM"))


def _give_back() -> None:
    """Returns freed memory to the system, where the C library can; held back, it would hide what the work takes."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
