"""Wall time by stage."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


class Stopwatch:
    """Laps of wall time in milliseconds; on a GPU they are GPU events, so that only reading them waits."""

    def __init__(self, device: torch.device, report: Callable[[str], None] = lambda _: None) -> None:
        """Calls `report` with the name of each stage at its end."""
        self._report = report
        self._cuda = device if device.type == "cuda" else None
        self._marks: list[tuple[str, float, torch.cuda.Event | None]] = []
        self._mark("")
        self._start = self._last

    def lap(self, name: str) -> None:
        """The time since the last lap belongs to the stage `name`."""
        self._mark(name)
        self._report(name)

    def _mark(self, name: str) -> None:
        self._last = time.perf_counter()
        if self._cuda is None:
            self._marks.append((name, self._last, None))
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._cuda))
        self._marks.append((name, self._last, event))

    @property
    def laps_ms(self) -> dict[str, float]:
        """Milliseconds by stage, in order of execution."""
        if self._cuda is not None:
            torch.cuda.synchronize(self._cuda)
        laps: dict[str, float] = {}
        for (_, before_s, before), (name, after_s, after) in zip(self._marks, self._marks[1:], strict=False):
            spent = before.elapsed_time(after) if before and after else (after_s - before_s) * 1e3
            laps[name] = laps.get(name, 0.0) + spent
        return laps

    @property
    def total_ms(self) -> float:
        """Milliseconds from the start to the last lap; on a GPU the last one must follow a transfer to the host."""
        return (self._last - self._start) * 1e3
