"""Training targets of the cells (DSPDet3D, sections 3.2 and 3.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dspdet3d_ros.detector.head import LEVELS
from dspdet3d_ros.sparse import CoordinateSet
from dspdet3d_ros.sparse.coords import COORDINATE_LIMIT, pack


@dataclass(frozen=True)
class SceneBoxes:
    """The boxes of all scenes of a batch.

    Attributes:
        boxes: (K, 6) centre and size, metres.
        scenes: (K,) int64, the scene of each box, which is the batch index of its cells.
        levels: (K,) int64, the level of each box; see `box_levels`.
    """

    boxes: Tensor
    scenes: Tensor
    levels: Tensor


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


def assign_boxes(
    cells: CoordinateSet, boxes: SceneBoxes, level: int, voxel_size: float, cube: float, count: int
) -> Tensor:
    """The box that each cell of a level learns.

    Args:
        cells: the N cells of all scenes.
        boxes: the K boxes of all scenes.
        level: the level of the cells; they learn boxes of this level only.
        voxel_size: metres.
        cube: edge of the cube about a box's centre in which cells can learn it, in cells.
        count: the number of nearest cells that learn a box.

    Returns:
        (N,) index of a box, -1 for none.
    """
    rows, corners = _cells_near(cells, boxes, level, voxel_size, cube)
    distance = (corners - boxes.boxes[:, None, :3]).square().sum(2)
    candidates = torch.where((rows >= 0) & (boxes.levels == level)[:, None], distance, torch.inf)
    # One more than learn the box: cells at the same distance as that one do not learn it.
    distance, order = torch.nn.functional.pad(candidates, (0, count + 1), value=torch.inf).sort(1)
    learns = distance[:, :count] < distance[:, count : count + 1]
    order = order[:, :count].clamp(max=rows.shape[1] - 1)
    rows = torch.where(learns, rows.gather(1, order), len(cells))
    corners = corners.gather(1, order[:, :, None].expand(-1, -1, 3))
    # A cell learns the nearest of all boxes of its scene, or none.
    to_all = (corners[:, :, None] - boxes.boxes[None, None, :, :3]).square().sum(3)
    to_all.masked_fill_((boxes.scenes[:, None] != boxes.scenes)[:, None], torch.inf)
    number = torch.arange(len(boxes.boxes), device=rows.device)[:, None]
    rows = torch.where(to_all.argmin(2) == number, rows, len(cells)) if len(number) else rows
    # The last row takes what is written for no cell.
    box = torch.full((len(cells) + 1,), -1, dtype=torch.int64, device=rows.device)
    box[rows] = number.expand_as(rows)
    return box[:-1]


def keep_mask(cells: CoordinateSet, boxes: SceneBoxes, level: int, voxel_size: float, cube: float) -> Tensor:
    """(N,) true for the cells of `level` that are to be refined: those near a box of a finer level.

    Args:
        cells: the N cells of all scenes.
        boxes: the boxes of all scenes.
        level: the cells' level, at least 1.
        voxel_size: metres.
        cube: edge of the cube about a box's centre that is kept, in cells.
    """
    rows, _ = _cells_near(cells, boxes, level, voxel_size, cube)
    kept = torch.zeros(len(cells) + 1, dtype=torch.bool, device=rows.device)
    kept[torch.where((rows >= 0) & (boxes.levels < level)[:, None], rows, len(cells))] = True
    return kept[:-1]


def _cells_near(
    cells: CoordinateSet, boxes: SceneBoxes, level: int, voxel_size: float, cube: float
) -> tuple[Tensor, Tensor]:
    """The cells in the cube about each box's centre: (K, M) rows, -1 for none, and their (K, M, 3) corners, metres.

    It looks up every place of the grid in the cube. Each box has the same number of places: the host waits for nothing.
    """
    size, device = cell_size(level, voxel_size), boxes.boxes.device
    centre, half = boxes.boxes[:, None, :3], cube * size / 2
    side = torch.arange(math.floor(cube) + 2, device=device)
    steps = torch.stack(torch.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3)
    first = torch.floor((centre - half) / size).to(torch.int64)
    places = (first + steps) * cells.stride
    corners = places.float() * voxel_size
    scene = boxes.scenes[:, None, None].expand(-1, len(steps), 1)
    rows = cells.find(pack(torch.cat([scene, places], 2).reshape(-1, 4))).reshape(len(boxes.boxes), len(steps))
    inside = ((corners - centre).abs() <= half) & (places.abs() < COORDINATE_LIMIT)
    return torch.where(inside.all(2), rows, -1), corners
