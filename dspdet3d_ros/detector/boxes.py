"""Overlap of axis-aligned boxes, and suppression of duplicates."""

from __future__ import annotations

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
    (low_a, high_a), (low_b, high_b) = corners(a, axes), corners(b, axes)
    volume_a, volume_b = (boxes[:, 3 : 3 + axes].prod(1) for boxes in (a, b))
    iou = a.new_empty(len(a), len(b), dtype=torch.promote_types(a.dtype, b.dtype))
    # In parts: the intermediate results are several times as large as the result.
    rows = max(1, _PAIRS_AT_ONCE // max(len(b), 1))
    for start in range(0, len(a), rows):
        part = slice(start, start + rows)
        low = torch.maximum(low_a[part, None], low_b[None])
        high = torch.minimum(high_a[part, None], high_b[None])
        shared = (high - low).clamp(min=0).prod(2)
        iou[part] = shared / (volume_a[part, None] + volume_b[None] - shared).clamp(min=1e-12)
    return iou


def corners(boxes: Tensor, axes: int = 3) -> tuple[Tensor, Tensor]:
    """(N, axes) lowest and highest corners of (N, 6) boxes, centre and size, along the first axes."""
    center, half = boxes[:, :axes], boxes[:, 3 : 3 + axes] / 2
    return center - half, center + half


def suppress(iou: Tensor, scores: Tensor, threshold: float, least_score: float = -torch.inf) -> Tensor:
    """Greedy non-maximum suppression, on the host: it is sequential and small.

    Args:
        iou: (N, N) overlaps, on the CPU.
        scores: (N,), on the CPU.
        threshold: of two boxes that overlap more, the one with the lower score goes.
        least_score: boxes whose score does not exceed it take no part.

    Returns:
        Rows that stay, best score first.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    clashes = (iou > threshold).numpy()
    alive = (scores > least_score).numpy()
    keep = []
    for i in order.tolist():
        if alive[i]:
            keep.append(i)
            alive[clashes[i]] = False
    return torch.tensor(keep, dtype=torch.int64)
