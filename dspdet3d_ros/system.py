"""This process's threads and memory, and what Linux reports of other processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def wait_without_spinning() -> None:
    """Lets OpenMP threads that wait sleep instead of spinning; to be called before torch is imported.

    Beside other busy processes, as on a robot, spinning threads take each other's cores and work takes several times
    as long. Whatever the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def torch_threads(count: int | None) -> Iterator[None]:
    """Within it torch, and the sparse engine with it, use `count` CPU threads; the setting is put back afterwards.

    It holds for the calling thread, and for those that use torch for the first time meanwhile.

    Args:
        count: None leaves it to torch.
    """
    if count is None:
        yield
        return
    # Only here: this module is imported before torch.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def process_status(pid: int | str = "self") -> dict[str, str]:
    """The lines of a process's status, by their keys; of this process, if not said.

    Raises:
        OSError: there is no such process, or the system has no /proc.
    """
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return {key: value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}


def memory_bytes(status: dict[str, str], key: str) -> int:
    """A size out of a status: "VmRSS" is resident now, "VmHWM" was at the peak, "RssAnon" is the process's own part.

    Raises:
        KeyError: this system does not tell it.
    """
    return int(status[key].split()[0]) * 1024
