"""Thickness of the surfaces of a cloud: how far its points are from local planes of any direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.clouds.voxel_means import voxel_means

#: Clouds are averaged over voxels of this edge first, so that clouds of different resolutions can be compared, metres.
VOXEL = 0.01
#: Planes are fitted to the points in balls of this radius, voxels.
RADIUS = 6
# There is a ball around each point of a sample of this size.
_SAMPLE = 2000
# Points farther than this from the plane belong to another surface, metres.
_SLAB = 0.03
# A ball counts if half of a plane through it is filled, most of its points are near that plane, they spread over it,
# the spread along the normal is smaller by this factor, and a quadratic surface fits only by this much better (RMS,
# metres). So balls with clutter, curved surfaces and creases do not count, but thick planes do.
_LEAST_POINTS = round(np.pi * RADIUS**2 / 2)
_LEAST_NEAR = 0.8
# Of the radius.
_LEAST_SPREAD = 0.35
_THIN = 0.3
_MOST_BENT = 0.002
_ROUNDS = 3


@dataclass(frozen=True)
class Thickness:
    """RMS distances of points from local planes.

    Attributes:
        median_m: median over the planes, metres; NaN without planes.
        p90_m: 90 % of the planes are thinner, metres; NaN without planes.
        planes: number of planes, which may overlap.
    """

    median_m: float
    p90_m: float
    planes: int


def thickness_of(xyz: np.ndarray, voxel: float = VOXEL) -> Thickness:
    """The thickness of the planar parts of a cloud.

    Args:
        xyz: (N, 3) floats, metres.
        voxel: instead of `VOXEL`, for a cloud of larger voxels.
    """
    if not len(xyz):
        return Thickness(float("nan"), float("nan"), 0)
    points = voxel_means(np.asarray(xyz, np.float64), voxel).means
    balls = _Balls(points, RADIUS * voxel)
    centres = points
    if len(points) > _SAMPLE:
        centres = points[np.random.default_rng(0).choice(len(points), _SAMPLE, replace=False)]
    found = [
        value
        for centre in centres
        if len(part := balls.around(centre)) >= _LEAST_POINTS
        and (value := _plane_thickness(part, RADIUS * voxel)) is not None
    ]
    if not found:
        return Thickness(float("nan"), float("nan"), 0)
    return Thickness(float(np.median(found)), float(np.quantile(found, 0.9)), len(found))


class _Balls:
    """Finds the points within a radius of a place."""

    def __init__(self, xyz: np.ndarray, radius: float) -> None:
        self._radius = radius
        cells = np.floor(xyz / radius).astype(np.int64)
        order = np.lexsort(cells.T)
        cells, self._xyz = cells[order], xyz[order]
        starts = np.flatnonzero(np.any(np.diff(cells, axis=0, prepend=cells[:1] - 1), axis=1))
        ends = np.append(starts[1:], len(xyz))
        self._slices = {tuple(cells[start]): slice(start, end) for start, end in zip(starts, ends, strict=True)}

    def around(self, place: np.ndarray) -> np.ndarray:
        """(N, 3) points near a place."""
        x, y, z = np.floor(place / self._radius).astype(np.int64)
        steps = (-1, 0, 1)
        cells = ((x + i, y + j, z + k) for i in steps for j in steps for k in steps)
        near = np.concatenate([self._xyz[self._slices[cell]] for cell in cells if cell in self._slices])
        return near[((near - place) ** 2).sum(axis=1) <= self._radius**2]


def _plane_thickness(xyz: np.ndarray, radius: float) -> float | None:
    """RMS distance of the points from their plane, metres; None if they do not lie on one."""
    near = np.ones(len(xyz), bool)
    for _ in range(_ROUNDS):
        if near.sum() < _LEAST_POINTS:
            return None
        middle = xyz[near].mean(axis=0)
        centred = xyz[near] - middle
        variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
        near = np.abs((xyz - middle) @ axes[:, 0]) < _SLAB
    if near.mean() < _LEAST_NEAR or near.sum() < _LEAST_POINTS or variances[1] < (_LEAST_SPREAD * radius) ** 2:
        return None
    u, v, off = ((xyz[near] - middle) @ axes[:, axis] for axis in (2, 1, 0))
    if off.std() > _THIN * np.sqrt(variances[1]):
        return None
    terms = np.column_stack([np.ones(len(u)), u, v, u * u, u * v, v * v])
    bent = terms @ np.linalg.lstsq(terms, off, rcond=None)[0]
    return None if bent.std() > _MOST_BENT else float(np.sqrt(np.mean(off**2)))
