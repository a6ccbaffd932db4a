"""Doubts about the latest cloud: logged once when they appear, kept until a cloud comes without them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from dspdet3d_ros.remarks import Remark
from dspdet3d_ros.ros.health.faults import Fault

#: A doubt that comes back so soon is no news: clouds may be doubtful in turns.
FORGET_S = 10.0


class DoubtLog:
    """Keeps and logs the doubts about clouds.

    Args:
        logger: the node's.
        clock: seconds that only grow.
    """

    def __init__(self, logger: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        # Replaced as a whole: the worker's thread writes it, the executor's thread reads it.
        self._remarks: tuple[Remark, ...] = ()
        self._seen_s: dict[str, float] = {}

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """The doubts about the latest cloud."""
        return self._remarks

    @property
    def present(self) -> Fault | None:
        """All of them in one; None if there are none."""
        return Fault("doubt", " | ".join(remark.text for remark in self._remarks)) if self._remarks else None

    def update(self, remarks: Sequence[Remark]) -> None:
        """Takes the doubts about the next cloud, and logs those of a kind that the last one did not have."""
        now, before = self._clock(), {remark.kind for remark in self._remarks}
        self._remarks = tuple(remarks)
        for remark in remarks:
            lately = now - self._seen_s.get(remark.kind, -FORGET_S) < FORGET_S
            if remark.kind not in before and not lately:
                self._logger.warning(str(Fault("doubt", remark.text)))
            self._seen_s[remark.kind] = now

    def clear(self) -> None:
        """Forgets all doubts."""
        self._remarks = ()
        self._seen_s.clear()
