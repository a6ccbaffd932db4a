"""Training targets of the cells (DSPDet3D, sections 3.2 and 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor

from dspdet3d_ros.detector.head import LEVELS
from dspdet3d_ros.sparse import CoordinateSet


def box_levels(boxes: Tensor, voxel_size: float) -> Tensor:
    """(K,) level of each box by its volume: above 27·(s·2^5)³ level 3, 27·(s·2^4)³ level 2, 27·(s·2^3)³ level 1.

    Args:
        boxes: (K, 6) centre and size, metres.
        voxel_size: s, metres.
    """
    volume = boxes[:, 3:].prod(1)
    levels = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
    for level in range(1, LEVELS):
        levels += volume > 27 * (voxel_size * 2 ** (level + 2)) ** 3
    return levels


def cell_size(level: int, voxel_size: float) -> float:
    """Edge L of a level's cells, metres."""
    return voxel_size * 4 * 2**level


def positions(coords: CoordinateSet, voxel_size: float) -> Tensor:
    """(N, 3) lower corners of cells in metres, which stand for the cells everywhere."""
    return coords.coords[:, 1:].float() * voxel_size


def assign_boxes(cells: Tensor, boxes: Tensor, mine: Tensor, edge: float, count: int) -> Tensor:
    """Which box each cell of one scene and level learns.

    Args:
        cells: (N, 3) cell positions, metres.
        boxes: (K, 6) all boxes of the scene.
        mine: (K,) true for the boxes of this level.
        edge: edge of the cube about a box's centre in which cells can learn it, metres.
        count: the number of nearest cells that learn a box.

    Returns:
        (N,) index of a box, -1 for none.
    """
    nobody = torch.full((len(cells),), -1, dtype=torch.int64, device=cells.device)
    if not len(boxes) or not len(cells):
        return nobody
    offset = cells[:, None] - boxes[None, :, :3]
    distance = offset.square().sum(2)
    inside = (offset.abs() <= edge / 2).all(2) & mine
    candidates = torch.where(inside, distance, torch.inf)
    if len(cells) > count:
        bound = torch.topk(candidates, count + 1, dim=0, largest=False).values[-1]
        candidates = torch.where(candidates < bound, candidates, torch.inf)
    nearest, box = candidates.min(1)
    taken = torch.isfinite(nearest) & (distance.argmin(1) == box)
    return torch.where(taken, box, nobody)


def keep_mask(cells: Tensor, boxes: Tensor, levels: Tensor, level: int, edge: float) -> Tensor:
    """(N,) true for the cells of `level` that are to be refined: those near a box of a finer level.

    Args:
        cells: (N, 3) cell positions, metres.
        boxes: (K, 6).
        levels: (K,) level of each box.
        level: the cells' level, at least 1.
        edge: edge of the cube about a box's centre that is kept, metres.
    """
    near = ((cells[:, None] - boxes[None, :, :3]).abs() <= edge / 2).all(2)
    return (near & (levels < level)).any(1)
