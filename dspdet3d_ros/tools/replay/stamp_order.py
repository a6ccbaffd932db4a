"""Messages in the order of their stamps: drivers and recorders deliver them late and in another order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from dspdet3d_ros.mapping.pairing import stamp_ns
from dspdet3d_ros.recordings.bags import Record

#: A message waits so long, in recorded time, for those with earlier stamps.
WINDOW_NS = 500_000_000
#: So many messages wait at most.
_MOST = 1000


def by_stamp(records: Iterable[Record]) -> Iterator[Record]:
    """The records in the order of their stamps, if none comes later than others by more than `WINDOW_NS`."""
    waiting: list[tuple[int, int, Record]] = []
    newest_ns = 0
    for number, record in enumerate(records):
        newest_ns = max(newest_ns, record.time_ns)
        heapq.heappush(waiting, (stamp_of(record), number, record))
        while waiting and (newest_ns - waiting[0][2].time_ns >= WINDOW_NS or len(waiting) > _MOST):
            yield heapq.heappop(waiting)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def stamp_of(record: Record) -> int:
    """The stamp of a message, that of its first transform, or the time of its recording."""
    message = record.message
    if hasattr(message, "header"):
        return stamp_ns(message)
    transforms = getattr(message, "transforms", ())
    return min((stamp_ns(transform) for transform in transforms), default=record.time_ns)
