"""Overlap of axis-aligned boxes, and suppression of duplicates."""

from __future__ import annotations

import torch
from torch import Tensor


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
    low = torch.maximum(_low(a, axes)[:, None], _low(b, axes)[None])
    high = torch.minimum(_high(a, axes)[:, None], _high(b, axes)[None])
    shared = (high - low).clamp(min=0).prod(2)
    volume_a, volume_b = (boxes[:, 3 : 3 + axes].prod(1) for boxes in (a, b))
    return shared / (volume_a[:, None] + volume_b[None] - shared).clamp(min=1e-12)


def _low(boxes: Tensor, axes: int) -> Tensor:
    return boxes[:, :axes] - boxes[:, 3 : 3 + axes] / 2


def _high(boxes: Tensor, axes: int) -> Tensor:
    return boxes[:, :axes] + boxes[:, 3 : 3 + axes] / 2


def suppress(iou: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedy non-maximum suppression.

    Args:
        iou: (N, N) overlaps.
        scores: (N,).
        threshold: of two boxes that overlap more, the one with the lower score goes.

    Returns:
        Rows that stay, best score first.
    """
    order = torch.argsort(scores, descending=True, stable=True)
    # The greedy pass is sequential and small: on the host, over one boolean matrix.
    clashes = (iou[order][:, order] > threshold).cpu().numpy()
    alive = torch.ones(len(order), dtype=torch.bool).numpy()
    keep = []
    for i in range(len(order)):
        if alive[i]:
            keep.append(i)
            alive &= ~clashes[i]
    return order[torch.tensor(keep, dtype=torch.int64, device=order.device)]
