"""Clouds that could not be used: counted by kind, and told without flooding the log."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

REPEAT_S = 5.0


class RefusalLog:
    """Warns of clouds that cannot be used: at once for a kind that is new, then every few seconds.

    Args:
        logger: the node's.
        clock: seconds that only grow.
    """

    def __init__(self, logger: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        # Clouds are refused in the executor's thread and in the worker's.
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        self._since_good = 0
        self.counts: Counter[str] = Counter()

    def refuse(self, kind: str, text: str) -> None:
        """Counts a cloud and warns of it.

        Args:
            kind: what was wrong, as one word.
            text: what was wrong, as one line.
        """
        now = self._clock()
        with self._lock:
            self.counts[kind] += 1
            self._since_good += 1
            number = self.counts[kind]
            news = kind not in self._told or now - self._told[kind] >= REPEAT_S
            if news:
                self._told[kind] = now
        if news:
            self._logger.warning(f"cloud refused ({kind}, {number} so far): {text}")

    def accept(self) -> None:
        """A cloud could be used: what comes after it is news again."""
        with self._lock:
            refused, self._since_good = self._since_good, 0
            self._told.clear()
        if refused:
            self._logger.info(f"clouds are usable again, after {refused} that were refused")
