"""Arrivals and latencies of messages, for rates and percentiles. Imports no ROS."""

import threading
import time
from collections import deque

import numpy as np

RATE_WINDOW_S = 10.0
LATENCIES_KEPT = 200


class Traffic:
    """Arrival times and latencies of clouds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrivals: deque[float] = deque()
        self._latencies_ms: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self.last_arrival_s: float | None = None
        self.started_s = time.monotonic()
        self.lost = self.lost_since_arrival = 0

    def arrived(self, time_s: float) -> None:
        """Notes that a cloud arrived at this `time.monotonic()`."""
        with self._lock:
            self.last_arrival_s = time_s
            self.lost_since_arrival = 0
            self._arrivals.append(time_s)
            self._forget_before(time_s - RATE_WINDOW_S)

    def lost_more(self, number: int) -> None:
        """Notes a number of clouds that DDS reports as lost."""
        with self._lock:
            self.lost += number
            self.lost_since_arrival += number

    def waited_s(self, now_s: float) -> float:
        """Seconds since the latest cloud; before the first one, since the start."""
        return now_s - (self.started_s if self.last_arrival_s is None else self.last_arrival_s)

    def answered(self, latency_ms: float) -> None:
        """Notes the latency of an answer."""
        with self._lock:
            self._latencies_ms.append(latency_ms)

    def rate_hz(self, now_s: float) -> float:
        """Arrivals per second over the last ten seconds."""
        with self._lock:
            self._forget_before(now_s - RATE_WINDOW_S)
            return len(self._arrivals) / RATE_WINDOW_S

    def latency_ms(self, percent: float) -> float | None:
        """A percentile of the latest latencies; None before the first answer."""
        with self._lock:
            return float(np.percentile(self._latencies_ms, percent)) if self._latencies_ms else None

    def _forget_before(self, time_s: float) -> None:
        while self._arrivals and self._arrivals[0] < time_s:
            self._arrivals.popleft()
