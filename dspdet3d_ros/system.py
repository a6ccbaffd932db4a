"""Threads and memory of this process, and what Linux reports about other processes."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
_CLEAR = Path("/proc/self/clear_refs")
#: Written to `clear_refs`, it resets the peak to the present resident size (proc(5)).
_RESET_PEAK = "5"
#: Options of mallopt(3): the number of blocks that are mapped one by one, and the free memory above which the heap
#: shrinks (-1: it never does).
_MALLOC_MAPPED_BLOCKS, _MALLOC_TRIM_THRESHOLD = -4, -1


def wait_without_spinning() -> None:
    """Lets waiting OpenMP threads sleep instead of spin. Call it before torch is imported.

    On a busy machine, such as a robot, spinning threads occupy the cores of other threads, and the computation takes
    several times as long. A value that the user has set is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Sets the number of CPU threads of torch and the sparse engine within the context, and restores it afterwards.

    It applies to the calling thread, and to threads that first use torch within the context.

    Args:
        count: number of threads; None keeps torch's choice.
    """
    if count is None:
        yield
        return
    # Imported here because this module is imported before torch.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Makes the C library keep freed memory for later allocations of this process, if it can (glibc).

    By default it returns large blocks to the system at once. A training step allocates some GB in large blocks; the
    system would clear all their pages in every step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_MALLOC_MAPPED_BLOCKS, 0), (_MALLOC_TRIM_THRESHOLD, -1)):
            mallopt(option, value)


def return_freed_memory() -> None:
    """Returns freed memory of this process to the system if the C library can (glibc).

    By itself it keeps much of it for later allocations: after the load of a large model more than that takes. The next
    allocations take some milliseconds longer.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def usable_cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def process_status(pid: int | str = "self") -> dict[str, str]:
    """The entries of `/proc/PID/status`, by name. The default is this process.

    Raises:
        OSError: there is no such process, or the system has no /proc.
    """
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return {key: value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}


def memory_bytes(status: dict[str, str], key: str) -> int:
    """A size from a process status, in bytes.

    Args:
        status: see `process_status`.
        key: "VmRSS" is the resident memory, "VmHWM" its peak, "RssAnon" the part that is not shared with files.

    Raises:
        KeyError: this system does not report it.
    """
    return int(status[key].split()[0]) * 1024


@dataclass(frozen=True)
class PeakMemory:
    """Memory in bytes around a piece of work: resident memory of this process, or memory of tensors on a GPU.

    Attributes:
        before: in use before the work.
        peak: maximum during the work.
    """

    before: int
    peak: int

    @property
    def growth(self) -> int:
        """Difference between the peak and the memory before."""
        return max(self.peak - self.before, 0)


def measure_peak_memory(work: Callable[[], Result], device: str) -> tuple[Result, PeakMemory | None]:
    """Runs a function and measures its peak memory.

    Args:
        work: the function.
        device: "cpu" for the memory of this process, or a CUDA device for that of its tensors.

    Returns:
        The function's result, and its memory; None if the system does not report it (Linux does).
    """
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = work()
        return result, PeakMemory(before, torch.cuda.max_memory_allocated(device))
    if not os.access(_CLEAR, os.W_OK):
        return work(), None
    return_freed_memory()
    _CLEAR.write_text(_RESET_PEAK)
    before = memory_bytes(process_status(), "VmRSS")
    result = work()
    return result, PeakMemory(before, memory_bytes(process_status(), "VmHWM"))
