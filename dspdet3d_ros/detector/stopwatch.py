"""Wall time by stage."""

from __future__ import annotations

import time

import torch


class Stopwatch:
    """Laps of wall time in milliseconds; on a GPU each lap waits for the work given to it."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self.laps_ms: dict[str, float] = {}
        self._start = self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """The time since the last lap belongs to the stage `name`."""
        if self._cuda is not None:
            torch.cuda.synchronize(self._cuda)
        now = time.perf_counter()
        self.laps_ms[name] = self.laps_ms.get(name, 0.0) + (now - self._last) * 1e3
        self._last = now

    @property
    def total_ms(self) -> float:
        """Milliseconds from the start to the last lap."""
        return (self._last - self._start) * 1e3
