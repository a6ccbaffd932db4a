"""Overlap of axis-aligned boxes, and suppression of duplicates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

_PAIRS_AT_ONCE = 1 << 20


def iou_matrix(a: Tensor, b: Tensor, overlap: str = "3d") -> Tensor:
    """Intersection over union of every box of `a` with every box of `b`.

    Args:
        a: (N, 6) centre and size.
        b: (M, 6) centre and size.
        overlap: "3d" in space, "plan_view" in the x-y plane.

    Returns:
        (N, M) in 0..1.
    """
    axes = 3 if overlap == "3d" else 2
    # Each face of all boxes side by side: short rows of three are slow to compute with.
    (low_a, high_a), (low_b, high_b) = ([faces.t().contiguous() for faces in corners(boxes, axes)] for boxes in (a, b))
    volume_a, volume_b = (boxes[:, 3 : 3 + axes].prod(1) for boxes in (a, b))
    iou = a.new_empty(len(a), len(b), dtype=torch.promote_types(a.dtype, b.dtype))
    # In parts: the intermediate results are several times as large as the result.
    rows = max(1, _PAIRS_AT_ONCE // max(len(b), 1))
    for start in range(0, len(a), rows):
        part = slice(start, start + rows)
        shared = None
        for axis in range(axes):
            edge = torch.minimum(high_a[axis, part, None], high_b[axis])
            edge = edge.sub_(torch.maximum(low_a[axis, part, None], low_b[axis])).clamp_(min=0)
            shared = edge if shared is None else shared.mul_(edge)
        assert shared is not None
        union = (volume_a[part, None] + volume_b).sub_(shared).clamp_(min=1e-12)
        torch.div(shared, union, out=iou[part])
    return iou


def corners(boxes: Tensor, axes: int = 3) -> tuple[Tensor, Tensor]:
    """(N, axes) lowest and highest corners of (N, 6) boxes, centre and size, along the first axes."""
    center, half = boxes[:, :axes], boxes[:, 3 : 3 + axes] / 2
    return center - half, center + half


def clashes(boxes: Tensor, threshold: float, overlap: str = "3d") -> list[int]:
    """For each of (N, 6) boxes on the CPU, the boxes that overlap it by more than a threshold, as bits of a number."""
    rows = max(1, _PAIRS_AT_ONCE // max(len(boxes), 1))
    found: list[int] = []
    for part in boxes.split(rows):
        packed = np.packbits((iou_matrix(part, boxes, overlap) > threshold).numpy(), axis=1, bitorder="little")
        found += [int.from_bytes(row.tobytes(), "little") for row in packed]
    return found


def suppress(clashing: Sequence[int], order: Iterable[int]) -> list[int]:
    """Greedy non-maximum suppression, on the host: it is sequential and small.

    Args:
        clashing: see `clashes`.
        order: the boxes that take part, best first.

    Returns:
        Those that stay, best first: each one suppresses later ones that clash with it.
    """
    gone, kept = 0, []
    for box in order:
        if not gone >> box & 1:
            kept.append(box)
            gone |= clashing[box]
    return kept
