"""How this process shares the machine's cores with others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def wait_without_spinning() -> None:
    """Lets OpenMP threads that wait sleep instead of spinning; to be called before torch is imported.

    Beside other busy processes, as on a robot, spinning threads take each other's cores and work takes several times
    as long. Whatever the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def torch_threads(count: int | None) -> Iterator[int]:
    """Within it torch uses `count` CPU threads (None: as many as it does already); the setting is put back."""
    # Only here: this module is imported before torch.
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
