"""The ground under each voxel, from which the network's heights are measured.

The ground is estimated near each place: points elsewhere, such as another floor of a building that is mapped later, do
not change it. It lies within `REACH_M` below, so that reflections far below a floor are not taken for the ground.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dspdet3d_ros.sparse import CoordinateSet
from dspdet3d_ros.sparse.coords import key_offset

#: Blocks are the cubes of the network's coarsest cells; all voxels of a block have the same ground.
BLOCK = 32
#: How far below a block its ground is looked for, metres: above the height of a table, below that of a storey.
REACH_M = 2.0
#: The share of a column's voxels that may lie below the ground, such as noise and reflections.
_BELOW = 0.05
#: The columns that vote on a block's ground: every second one, up to this distance on both sides.
_NEIGHBOURS = 4

_BLOCK_BITS = 5
# A place as one number: batch and column of blocks (x, y), then the height of the voxel.
_Z_BITS = 20
_AXIS_BITS = 15
_Z_OFFSET = 1 << (_Z_BITS - 1)
_AXIS_OFFSET = 1 << (_AXIS_BITS - 1)
_X_STEP, _Y_STEP = 1 << (_Z_BITS + _AXIS_BITS), 1 << _Z_BITS
_BATCH_STEP = _X_STEP << _AXIS_BITS
_ZERO = _AXIS_OFFSET * (_X_STEP + _Y_STEP) + _Z_OFFSET


def ground_level(coords: CoordinateSet, voxel_size: float) -> Tensor:
    """Height of the ground under each voxel.

    Each column of blocks has a level, below which 5 % of its voxels within reach lie. The ground of a block is the
    median of the levels of the columns around it, so that a table that fills a column, or a hole, is outvoted.

    Args:
        coords: N voxels (stride 1). Blocks begin at multiples of `BLOCK` voxels.
        voxel_size: edge of a voxel, metres.

    Returns:
        (N,) float64 metres, in the frame of the coordinates.
    """
    blocks = coords
    while blocks.stride < BLOCK:
        # These sets are the network's too.
        blocks = blocks.downsampled()
    ordered = torch.sort(_places(coords)).values
    level = _median_level(ordered, _places(blocks), round(REACH_M / voxel_size))
    low = BLOCK - 1
    return level[blocks.find(coords.keys & ~key_offset(low, low, low))] * voxel_size


def _places(coords: CoordinateSet) -> Tensor:
    """(N,) number of each place: batch and column of blocks, then the height of the voxel."""
    batch, x, y, z = coords.coords.unbind(1)
    places = torch.add(z + _ZERO, y >> _BLOCK_BITS, alpha=_Y_STEP)
    return places.add_(x >> _BLOCK_BITS, alpha=_X_STEP).add_(batch, alpha=_BATCH_STEP)


def _median_level(ordered: Tensor, bottom: Tensor, reach: int) -> Tensor:
    """(M,) float64 level of the ground of the blocks that begin at the places `bottom`, voxels."""
    sides = range(-_NEIGHBOURS, _NEIGHBOURS + 1, 2)
    steps = torch.tensor([dx * _X_STEP + dy * _Y_STEP for dx in sides for dy in sides], device=bottom.device)
    begin = bottom[:, None] + steps
    first = torch.searchsorted(ordered, begin - reach)
    count = torch.searchsorted(ordered, begin + BLOCK) - first
    lowest = first + (count * _BELOW).to(torch.int64)
    level = (ordered[lowest.clamp(max=len(ordered) - 1)] & (1 << _Z_BITS) - 1) - _Z_OFFSET
    # Columns without voxels within reach come last; a block's own column always has some.
    votes = torch.sort(torch.where(count > 0, level.double(), torch.inf), 1).values
    middle = ((count > 0).sum(1, keepdim=True) - 1) // 2
    return votes.gather(1, middle)[:, 0]
