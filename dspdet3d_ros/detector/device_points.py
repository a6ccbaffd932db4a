"""`points.py` on a GPU: the cloud goes up once as it is, and is filtered, thinned and moved there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def prepare(xyz: np.ndarray, device: torch.device, max_points: int, recenter: bool) -> tuple[Tensor, Tensor]:
    """Uploads a cloud; see `usable_points` and `training_origin` for what is done to it.

    Args:
        xyz: (N, 3) numbers, metres.
        device: where to.
        max_points: the most points that are kept.
        recenter: move the cloud to the origin that the network was trained at.

    Returns:
        (M, 3) float32 finite points about the origin, and the origin, (3,) float64 (zeros without `recenter`).
    """
    kind = np.float32 if xyz.dtype == np.float32 else np.float64
    points = torch.from_numpy(np.require(xyz, kind, ["C", "W"])).to(device)
    rows = torch.isfinite(points).all(1).nonzero()[:, 0]
    if len(rows) > max_points:
        rows = rows[torch.from_numpy(np.linspace(0, len(rows) - 1, max_points).astype(np.int64)).to(device)]
    points = points[rows].double()
    origin = points.new_zeros(3)
    if recenter and len(points):
        origin = torch.cat([points[:, :2].mean(0), _first_percentile(points[:, 2])])
    return (points - origin).float(), origin


def _first_percentile(values: Tensor) -> Tensor:
    """(1,): between the two nearest values, as numpy's `percentile` takes it."""
    place = 0.01 * (len(values) - 1)
    low, high = int(place), min(int(place) + 1, len(values) - 1)
    ordered = torch.sort(values).values
    return (ordered[low] + (ordered[high] - ordered[low]) * (place - low))[None]
