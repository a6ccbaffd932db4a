"""Training targets of the cells (DSPDet3D, sections 3.2 and 3.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    levels: Sequence[tuple[int, CoordinateSet]], boxes: SceneBoxes, voxel_size: float, cube: float, count: int
) -> Tensor:
    """The box that each cell learns.

    Args:
        levels: numbers of levels and their cells, those of all scenes; N cells together. A cell learns boxes of its
            level only.
        boxes: the K boxes of all scenes.
        voxel_size: metres.
        cube: edge of the cube about a box's centre in which cells can learn it, in cells.
        count: the number of nearest cells that learn a box.

    Returns:
        (N,) index of a box, -1 for none; the cells of all levels in the order of `levels`.
    """
    device, total = boxes.boxes.device, sum(len(cells) for _, cells in levels)
    sizes = torch.tensor([cell_size(level, voxel_size) for level in range(LEVELS)], dtype=torch.float64)
    grid = torch.stack([sizes, cube * sizes / 2]).to(boxes.boxes.dtype).to(device)[:, boxes.levels, None, None]
    keys, corners, inside = _places_near(boxes, grid[0], grid[1], 4 << boxes.levels[:, None, None], voxel_size, cube)
    rows, start = torch.full_like(keys, -1), 0
    for level, cells in levels:
        found = cells.find(keys)
        rows = torch.where((found >= 0) & (boxes.levels == level)[:, None], found + start, rows)
        start += len(cells)
    distance = (corners - boxes.boxes[:, None, :3]).square().sum(2)
    candidates = torch.where((rows >= 0) & inside, distance, torch.inf)
    # One more than learn the box: cells at the same distance as that one do not learn it.
    distance, order = torch.nn.functional.pad(candidates, (0, count + 1), value=torch.inf).sort(1)
    learns = distance[:, :count] < distance[:, count : count + 1]
    order = order[:, :count].clamp(max=rows.shape[1] - 1)
    rows = torch.where(learns, rows.gather(1, order), total)
    corners = corners.gather(1, order[:, :, None].expand(-1, -1, 3))
    # A cell learns the nearest of all boxes of its scene, or none.
    to_all = (corners[:, :, None] - boxes.boxes[None, None, :, :3]).square().sum(3)
    to_all.masked_fill_((boxes.scenes[:, None] != boxes.scenes)[:, None], torch.inf)
    number = torch.arange(len(boxes.boxes), device=device)[:, None]
    rows = torch.where(to_all.argmin(2) == number, rows, total) if len(number) else rows
    # The last row takes what is written for no cell.
    box = torch.full((total + 1,), -1, dtype=torch.int64, device=device)
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
    size = cell_size(level, voxel_size)
    keys, _, inside = _places_near(boxes, size, cube * size / 2, cells.stride, voxel_size, cube)
    rows = cells.find(keys)
    kept = torch.zeros(len(cells) + 1, dtype=torch.bool, device=rows.device)
    kept[torch.where((rows >= 0) & inside & (boxes.levels < level)[:, None], rows, len(cells))] = True
    return kept[:-1]


def _places_near(
    boxes: SceneBoxes,
    size: float | Tensor,
    half: float | Tensor,
    stride: int | Tensor,
    voxel_size: float,
    cube: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The places of a grid about each of the K boxes: (K, M) keys, (K, M, 3) corners in metres, (K, M) in the cube.

    Each box has the same number of places: the host waits for nothing.

    Args:
        boxes: K boxes.
        size, half: edge of the grid's cells and half of the cube's edge, metres; one number, or (K, 1, 1).
        stride: edge of the grid's cells, voxels; one number, or (K, 1, 1).
        voxel_size: metres.
        cube: edge of the cube about a box's centre, in cells.
    """
    centre = boxes.boxes[:, None, :3]
    side = torch.arange(math.floor(cube) + 2, device=centre.device)
    steps = torch.stack(torch.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3)
    first = torch.floor((centre - half) / size).to(torch.int64)
    places = (first + steps) * stride
    corners = places.float() * voxel_size
    scene = boxes.scenes[:, None, None].expand(-1, len(steps), 1)
    keys = pack(torch.cat([scene, places], 2).reshape(-1, 4)).reshape(len(centre), len(steps))
    inside = ((corners - centre).abs() <= half) & (places.abs() < COORDINATE_LIMIT)
    return keys, corners, inside.all(2)
