"""Overlap of axis-aligned boxes, and suppression of duplicates.

In NumPy: a call takes a fraction of the time of one of torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

#: Pairs that are compared at once: what comes in between stays in the cache of a core.
_PAIRS_AT_ONCE = 1 << 15


class Faces(NamedTuple):
    """N boxes, each face of all of them in a row: short rows of three are slow to compute with.

    Attributes:
        low: (3, N) lowest corners; (2, N) for overlap in the x-y plane.
        high: (3, N) or (2, N) highest corners.
        volume: (N,) volumes; areas for overlap in the x-y plane.
    """

    low: np.ndarray
    high: np.ndarray
    volume: np.ndarray

    @classmethod
    def of(cls, boxes: np.ndarray, overlap: str = "3d") -> Faces:
        """The faces of (N, 6) boxes, centre and size; see `iou_matrix` for `overlap`."""
        axes = 3 if overlap == "3d" else 2
        columns = np.ascontiguousarray(boxes.T)
        centre, size = columns[:axes], columns[3 : 3 + axes]
        return cls(centre - size / 2, centre + size / 2, size.prod(axis=0))

    def rows(self, rows: np.ndarray | slice) -> Faces:
        """Some of the boxes."""
        if isinstance(rows, slice):
            return Faces(self.low[:, rows], self.high[:, rows], self.volume[rows])
        # An index takes ten times as long.
        return Faces(self.low.take(rows, axis=1), self.high.take(rows, axis=1), self.volume.take(rows))


class Overlaps(NamedTuple):
    """P pairs of boxes that overlap.

    Attributes:
        a: (P,) rows of the first boxes.
        b: (P,) rows of the second boxes.
        iou: (P,) intersection over union.
    """

    a: np.ndarray
    b: np.ndarray
    iou: np.ndarray

    @classmethod
    def none(cls) -> Overlaps:
        """No pairs."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def iou_matrix(a: np.ndarray, b: np.ndarray, overlap: str = "3d") -> np.ndarray:
    """Intersection over union of every box of `a` with every box of `b`.

    Args:
        a: (N, 6) centre and size.
        b: (M, 6) centre and size.
        overlap: "3d" in space, "plan_view" in the x-y plane.

    Returns:
        (N, M) in 0..1.
    """
    faces_a, faces_b = Faces.of(a, overlap), Faces.of(b, overlap)
    iou = np.empty((len(a), len(b)), np.result_type(a, b))
    rows = max(1, _PAIRS_AT_ONCE // max(len(b), 1))
    for start in range(0, len(a), rows):
        part = slice(start, start + rows)
        iou[part] = _iou(faces_a.rows(part), faces_b)
    return iou


def overlapping(a: Faces, b: Faces, threshold: float) -> Iterator[Overlaps]:
    """The pairs of boxes that overlap by more than a threshold.

    Boxes far from each other are not compared: the time grows with the number of boxes, not with its square.

    Args:
        a: N boxes.
        b: M boxes.
        threshold: at least 0.

    Yields:
        All pairs of some rows of `a`. Each row of `a` comes once; its rows of `b` are contiguous and ascend.
    """
    for rows, near in _near(a, b):
        iou = _iou(a.rows(rows), b.rows(near)).ravel()
        found = np.flatnonzero(iou > threshold)
        first, second = np.divmod(found, len(near))
        yield Overlaps(rows[first], near[second], iou[found])


def _iou(a: Faces, b: Faces) -> np.ndarray:
    """(N, M) intersection over union."""
    # Each operand is a full matrix: with rows, columns and single numbers NumPy computes several times slower.
    shape = 5, len(a.volume), len(b.volume)
    shared, edge, low, of_b, least = np.empty(shape, np.result_type(a.volume, b.volume))
    shared[:], least[:] = 1, 0
    for axis in range(len(a.low)):
        edge[:], of_b[:] = a.high[axis, :, None], b.high[axis]
        np.minimum(edge, of_b, out=edge)
        low[:], of_b[:] = a.low[axis, :, None], b.low[axis]
        edge -= np.maximum(low, of_b, out=low)
        shared *= np.maximum(edge, least, out=edge)
    edge[:], of_b[:] = a.volume[:, None], b.volume
    union = np.add(edge, of_b, out=edge)
    union -= shared
    least[:] = 1e-12
    np.maximum(union, least, out=union)
    return np.divide(shared, union, out=shared)


def _near(a: Faces, b: Faces) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Some rows of `a`, and all rows of `b` that overlap one of them, ascending, with some that do not; in parts."""
    todo = [(np.arange(len(a.volume)), np.arange(len(b.volume)))]
    while todo:
        rows, near = todo.pop()
        if not len(rows) or not len(near):
            continue
        if len(rows) == 1 or len(rows) * len(near) <= _PAIRS_AT_ONCE:
            yield rows, near
            continue
        # In two halves along the axis on which they are spread most.
        corners = a.low.take(rows, axis=1)
        axis = int(np.ptp(corners, axis=1).argmax())
        rows = rows.take(np.argsort(corners[axis], kind="stable"))
        low, high = b.low[axis].take(near), b.high[axis].take(near)
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            touch = (low < a.high[axis].take(half).max()) & (high > a.low[axis, half[0]])
            todo.append((half, near[touch]))


def clashes(boxes: Faces, threshold: float) -> np.ndarray:
    """(N, N) mask: which of N boxes overlap each other by more than a threshold."""
    found = np.zeros((len(boxes.volume), len(boxes.volume)), bool)
    for pairs in overlapping(boxes, boxes, threshold):
        found[pairs.a, pairs.b] = True
    return found


def suppress(clashing: np.ndarray, order: Iterable[int]) -> list[int]:
    """Greedy non-maximum suppression: it is sequential and small.

    Args:
        clashing: see `clashes`.
        order: the boxes that take part, best first.

    Returns:
        Those that stay, best first: each one suppresses later ones that clash with it.
    """
    gone, kept = np.zeros(len(clashing), bool), []
    for box in order:
        if not gone[box]:
            kept.append(box)
            gone |= clashing[box]
    return kept
