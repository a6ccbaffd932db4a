"""The shape of a whole cloud: extent, distance between points, directions of its surfaces. Measured on a sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Maximum number of points that are examined; of a larger cloud a random sample, the same one each time.
SAMPLE = 32_768
EXTENT_POINTS = 8192
LATTICE_POINTS = 256
#: Edge of the smallest patches, metres. Larger ones are taken until a quarter of them hold `PATCH_POINTS` at least.
PATCH = 0.1
PATCH_POINTS = 30
#: The most patches to which planes are fitted, and the fewest points of a patch.
PATCHES = 512
PLANE_POINTS = 8
# Many patches hold more than one layer of points, so that counts alone would give distances that are too small. This
# factor makes the distances in maps of 2 to 5 cm voxels right.
_FILLED = 1.3
# Patches at edges hold few points, patches with several surfaces are rare: a full one holds this quantile of counts.
_FULL = 0.75
# A patch is flat if it is much thinner than wide, and not just a line.
_THIN = 0.3
_WIDE = 0.12
# A patch faces an axis if its normal is within 10 degrees of it, and is parallel to it if within 20 degrees.
_FACING = np.cos(np.radians(10))
_PARALLEL = np.sin(np.radians(20))
#: Edges of the voxels whose centres maps are published as, metres, largest first.
LATTICES = (0.2, 0.1, 0.08, 0.05, 0.04, 0.03, 0.025, 0.02)
_ON_LATTICE = 0.99
_CELLS = 1 << 16
_PRIMES = (73_856_093, 19_349_663, 83_492_791)


@dataclass(frozen=True)
class CloudShape:
    """The shape of a cloud.

    Attributes:
        extent: (3,) size along x, y and z without the outermost hundredth of the points, in the cloud's own unit.
        spacing: distance between neighbouring points of a surface, in the same unit.
        area: of all surfaces, in that unit squared.
        lattice: edge of the voxels of which the points are the centres; 0 if they are not.
        flat_patches: number of patches with a flat surface, of at most `PATCHES`.
        facing: (3,) share of the flat area that faces x, y and z, up or down; facing[2] is the share of level area.
        oblique: (3,) share of the flat area that neither faces the axis nor is parallel to it.
    """

    extent: np.ndarray
    spacing: float
    area: float
    lattice: float
    flat_patches: int
    facing: np.ndarray
    oblique: np.ndarray


def shape_of(xyz: np.ndarray) -> CloudShape | None:
    """Measures a cloud of any size within milliseconds.

    Args:
        xyz: (N, 3) float32 or float64, finite.

    Returns:
        The shape; None if the cloud has no points.
    """
    total = len(xyz)
    if total > SAMPLE:
        xyz = xyz.take(np.random.default_rng(0).integers(0, total, SAMPLE), axis=0)
    if not len(xyz):
        return None
    drawn = total / len(xyz)
    # From here on a row for each axis: sums over rows of three take several times as long.
    columns = xyz.T.astype(np.float64)
    count = columns.shape[1]
    few = columns[:, :: -(-count // EXTENT_POINTS)]
    low, high = np.quantile(few, (0.005, 0.995), axis=1)
    extent = high - low
    local = (columns - low[:, None]).astype(np.float32)
    x, y, z = (np.abs(column - edge / 2) <= edge for column, edge in zip(local, extent, strict=True))
    patches = _Patches(local.compress(x & y & z, axis=1), float(extent.max()))
    flat, facing, oblique = _directions(patches)
    spacing = _FILLED * patches.edge / (patches.full * drawn) ** 0.5
    area = count / patches.full * patches.edge**2
    return CloudShape(extent, spacing, area, _lattice(columns), flat, facing, oblique)


class _Patches:
    """Points by cubes that hold enough of them.

    Cubes are numbered by a hash. Two with the same hash look like one with two surfaces; it is not flat, and rare.
    """

    def __init__(self, columns: np.ndarray, extent: float) -> None:
        # Numbers of cubes fit into the hash, however large the cloud is.
        self.columns, self.edge = columns, max(PATCH, extent / (1 << 20))
        while True:
            x, y, z = np.floor(columns / np.float32(self.edge)).astype(np.int64)
            key = (x * _PRIMES[0]) ^ (y * _PRIMES[1]) ^ (z * _PRIMES[2])
            self.cells = (key ^ (key >> 16)) & (_CELLS - 1)
            self.counts = np.bincount(self.cells, minlength=_CELLS)
            self.full = float(np.quantile(self.counts[self.counts > 0], _FULL))
            if self.full >= PATCH_POINTS or self.edge > extent:
                return
            # No surface has more than four times the points in a cube of twice the edge.
            self.edge *= min(max(1.5, (PATCH_POINTS / self.full) ** 0.5), 3.0)


def _directions(patches: _Patches) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of flat patches, and `facing` and `oblique` of `CloudShape`."""
    cells = np.flatnonzero(patches.counts >= PLANE_POINTS)
    if len(cells) > PATCHES:
        cells = np.random.default_rng(0).choice(cells, PATCHES, replace=False)
    number = np.full(_CELLS, -1)
    number[cells] = np.arange(len(cells))
    of = number[patches.cells]
    columns, of = patches.columns.compress(of >= 0, axis=1), of[of >= 0]
    count = patches.counts[cells]
    mean = np.stack([np.bincount(of, column, len(cells)) / count for column in columns])
    off = columns - mean[:, of]
    covariance = np.empty((len(cells), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            covariance[:, i, j] = covariance[:, j, i] = np.bincount(of, off[i] * off[j], len(cells)) / count
    variances, axes = np.linalg.eigh(covariance)
    thin, wide, long = np.sqrt(np.maximum(variances, 0)).T
    flat = (thin < _THIN * wide) & (wide > _WIDE * patches.edge)
    area, normals = (wide * long)[flat], np.abs(axes[flat, :, 0])
    if not flat.any():
        return 0, np.zeros(3), np.zeros(3)
    share = area[:, None] / area.sum()
    facing, parallel = normals > _FACING, normals < _PARALLEL
    return int(flat.sum()), (share * facing).sum(0), (share * ~(facing | parallel)).sum(0)


def _lattice(columns: np.ndarray) -> float:
    """Edge of the voxels whose centres or corners the points are, along all three axes; 0 if there is none."""
    few = columns[:, :: -(-columns.shape[1] // LATTICE_POINTS)]
    for edge in LATTICES:
        angle = 2 * np.pi / edge * few
        if (np.hypot(np.cos(angle).mean(1), np.sin(angle).mean(1)) > _ON_LATTICE).all():
            return edge
    return 0.0
