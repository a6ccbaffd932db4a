"""Thickness of the surfaces of a cloud: how far its points are from local planes of any direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Clouds are averaged over voxels of this edge first, so that clouds of different resolutions can be compared.
VOXEL = 0.01
#: Planes are fitted to the points in balls of this radius, metres.
RADIUS = 0.06
# There is one ball per cube of this edge, around one of its points, metres.
_CUBE = 0.1
# Points farther than this from the plane belong to another surface, metres.
_SLAB = 0.03
# A ball counts if half of a plane through it is filled, most of its points are near that plane, they spread over it,
# and the spread along the normal is smaller by this factor. Balls with clutter or curved surfaces do not count.
_LEAST_POINTS = round(np.pi * (RADIUS / VOXEL) ** 2 / 2)
_LEAST_NEAR = 0.8
_LEAST_SPREAD = 0.35 * RADIUS
_THIN = 0.3
_ROUNDS = 3


@dataclass(frozen=True)
class Thickness:
    """RMS distances of points from local planes.

    Attributes:
        median_m: median over the planes, metres; NaN without planes.
        p90_m: 90 % of the planes are thinner, metres; NaN without planes.
        planes: number of planes.
    """

    median_m: float
    p90_m: float
    planes: int


def thickness_of(xyz: np.ndarray) -> Thickness:
    """The thickness of the planar parts of a cloud.

    Args:
        xyz: (N, 3) floats, metres.
    """
    if not len(xyz):
        return Thickness(float("nan"), float("nan"), 0)
    points = _voxel_means(np.asarray(xyz, np.float64))
    balls = _Balls(points)
    found = [
        value
        for seed in _seeds(points)
        if len(part := balls.around(points[seed])) >= _LEAST_POINTS and (value := _plane_thickness(part)) is not None
    ]
    if not found:
        return Thickness(float("nan"), float("nan"), 0)
    return Thickness(float(np.median(found)), float(np.quantile(found, 0.9)), len(found))


def _voxel_means(xyz: np.ndarray) -> np.ndarray:
    cells = np.floor(xyz / VOXEL).astype(np.int64)
    _, voxel_of, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    sums = [np.bincount(voxel_of.reshape(-1), xyz[:, axis], len(counts)) for axis in range(3)]
    return np.stack(sums, axis=1) / counts[:, None]


def _seeds(xyz: np.ndarray) -> np.ndarray:
    """Index of one point per cube: that which is nearest to the mean of the cube's points."""
    _, cube_of, counts = np.unique(
        np.floor(xyz / _CUBE).astype(np.int64), axis=0, return_inverse=True, return_counts=True
    )
    cube_of = cube_of.reshape(-1)
    means = np.stack([np.bincount(cube_of, xyz[:, axis]) for axis in range(3)], axis=1) / counts[:, None]
    order = np.lexsort([((xyz - means[cube_of]) ** 2).sum(axis=1), cube_of])
    return order[np.cumsum(counts) - counts]


class _Balls:
    """Finds the points within `RADIUS` of a place."""

    def __init__(self, xyz: np.ndarray) -> None:
        cells = np.floor(xyz / RADIUS).astype(np.int64)
        order = np.lexsort(cells.T)
        cells, self._xyz = cells[order], xyz[order]
        starts = np.flatnonzero(np.any(np.diff(cells, axis=0, prepend=cells[:1] - 1), axis=1))
        ends = np.append(starts[1:], len(xyz))
        self._slices = {tuple(cells[start]): slice(start, end) for start, end in zip(starts, ends, strict=True)}

    def around(self, place: np.ndarray) -> np.ndarray:
        """(N, 3) points near a place."""
        x, y, z = np.floor(place / RADIUS).astype(np.int64)
        steps = (-1, 0, 1)
        cells = ((x + i, y + j, z + k) for i in steps for j in steps for k in steps)
        near = np.concatenate([self._xyz[self._slices[cell]] for cell in cells if cell in self._slices])
        return near[((near - place) ** 2).sum(axis=1) <= RADIUS**2]


def _plane_thickness(xyz: np.ndarray) -> float | None:
    """RMS distance of the points from their plane, metres; None if they do not lie on one."""
    near = np.ones(len(xyz), bool)
    for _ in range(_ROUNDS):
        if near.sum() < _LEAST_POINTS:
            return None
        middle = xyz[near].mean(axis=0)
        centred = xyz[near] - middle
        variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
        near = np.abs((xyz - middle) @ axes[:, 0]) < _SLAB
    if near.mean() < _LEAST_NEAR or near.sum() < _LEAST_POINTS or variances[1] < _LEAST_SPREAD**2:
        return None
    thickness = float(np.sqrt(np.mean(((xyz[near] - middle) @ axes[:, 0]) ** 2)))
    return thickness if thickness < _THIN * np.sqrt(variances[1]) else None
