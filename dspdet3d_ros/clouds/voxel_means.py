"""The mean of the points of each voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Cells along an axis up to which three numbers fit into one.
_PACKED = 1 << 21


@dataclass(frozen=True)
class VoxelMeans:
    """Occupied voxels of a cloud of N points, V of them, in the order of their cells.

    Attributes:
        cells: (V, 3) int64 whole numbers; a cell begins at its numbers times the edge.
        of: (N,) voxel of each point.
        counts: (V,) number of points in each voxel.
        means: (V, 3) float64 mean of these points.
    """

    cells: np.ndarray
    of: np.ndarray
    counts: np.ndarray
    means: np.ndarray


def voxel_means(xyz: np.ndarray, edge: float) -> VoxelMeans:
    """The means of the (N, 3) points in voxels of an edge length, which has the unit of the points."""
    cells = np.floor(xyz / edge).astype(np.int64)
    low = cells.min(axis=0) if len(cells) else np.zeros(3, np.int64)
    from_low = cells - low
    if not len(cells) or from_low.max() < _PACKED:
        x, y, z = from_low.T
        _, first, of, counts = np.unique(
            (x << 42) | (y << 21) | z, return_index=True, return_inverse=True, return_counts=True
        )
        occupied = cells[first]
    else:
        occupied, of, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    of = of.reshape(-1)
    sums = [np.bincount(of, xyz[:, axis], len(counts)) for axis in range(3)]
    return VoxelMeans(occupied, of, counts, np.stack(sums, axis=1) / counts[:, None])
