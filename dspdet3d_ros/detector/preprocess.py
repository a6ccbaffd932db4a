"""From a cloud's points to the voxels that the network is given, on the device that it runs on.

Points that cannot be used are left out, too many are thinned, and the rest is divided into voxels. The grid of voxels
is fixed in the cloud's own frame, whatever points the cloud has, and what a voxel is given depends on points near it
only: a place keeps its boxes while a map grows elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.detector.ground import BLOCK, ground_level
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse import Engine, SparseTensor
from dspdet3d_ros.sparse.coords import COORDINATE_LIMIT

#: The grid's origin is a multiple of so many voxels in the cloud's frame: of the coarsest cells, and so of all cells.
ANCHOR = BLOCK
#: How far the grid's origin lies below that multiple along x, y and z, voxels. A thousandth of a voxel: points at
#: multiples of the voxel size, as in maps of voxels, are divided alike however they were rounded. Twelve voxels in
#: height: a floor or a table at z = 0, as in many frames, lies in the middle of cells of 8 voxels and not at their faces.
_OFFSET = torch.tensor([0, 0, 12], dtype=torch.float64) + 1 / 1024
#: Points that are looked at for the middle of a cloud.
_SAMPLE = 1 << 16
#: Anchors, in multiples of `ANCHOR`, up to which float64 counts exactly.
_FARTHEST = 2.0**45
#: Places that are compared for where most points of a far-flung cloud are.
_PLACES = 16
#: Odd factors of SplitMix64 (Steele et al. 2014), as signed numbers: they mix bits well.
_MIX = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))


@dataclass(frozen=True)
class UsablePoints:
    """The points of a cloud that go into voxels.

    Attributes:
        xyz: (M, 3) float64 metres about the origin, on the device.
        anchor: (3,) int64, the origin of the grid in voxels, a multiple of `ANCHOR`, on the CPU.
        origin: (3,) float64 metres, the origin in the cloud's frame.
        out_of_range: number of finite points that were left out because they are too far from the others.
    """

    xyz: Tensor
    anchor: Tensor
    origin: np.ndarray
    out_of_range: int = 0


def as_points(xyz: np.ndarray) -> np.ndarray:
    """Checks that `xyz` is an (N, 3) array of real numbers.

    Raises:
        InputError: it is not.
    """
    xyz = np.asarray(xyz)
    if xyz.ndim != 2 or xyz.shape[1] != 3 or xyz.dtype.kind not in "fiu":
        raise InputError(f"points: expected an (N, 3) array of numbers, got shape {xyz.shape} of {xyz.dtype}")
    return xyz


def usable_points(
    xyz: np.ndarray, device: torch.device, voxel_size: float, max_points: int, recenter: bool = True
) -> UsablePoints:
    """The points that can be used, about the origin of the grid.

    Points that are not finite are left out, and so are points beyond the range of voxels about where most points are.
    Of more than `max_points`, the choice depends on where each point lies, not on its index.

    Args:
        xyz: (N, 3) numbers, metres, gravity along -z.
        device: where the voxels are computed.
        voxel_size: edge of a voxel, metres.
        max_points: the most points that are kept.
        recenter: the origin is near the middle of the points; False: it is the origin of the frame.
    """
    kind = np.float32 if xyz.dtype == np.float32 else np.float64
    points = torch.from_numpy(np.require(xyz, kind, ["C", "W"])).to(device)
    # Column by column: a reduction over rows of three takes several times as long.
    points = _only(points, torch.isfinite(points[:, 0]) & torch.isfinite(points[:, 1]) & torch.isfinite(points[:, 2]))
    finite, reach = len(points), (COORDINATE_LIMIT - ANCHOR) * voxel_size
    anchor, origin = torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.float64)
    if finite:
        low, high = torch.stack([points.amin(0), points.amax(0)]).double().cpu()
        if recenter:
            middle = _middle(points) if float((high - low).max()) <= reach else _bulk(points, reach)
            anchor = (middle.double().cpu() / (ANCHOR * voxel_size)).round().clamp(-_FARTHEST, _FARTHEST).long() * ANCHOR
            origin = (anchor.double() - _OFFSET) * voxel_size
        if float(torch.maximum(origin - low, high - origin).max()) > reach:
            points = _only(points, ((points.double() - origin.to(device)).abs() <= reach).all(1))
    out_of_range = finite - len(points)
    if len(points) > max_points:
        bits = points.view(torch.int32 if kind == np.float32 else torch.int64)
        points = points[_scattered(bits, max_points)]
    return UsablePoints(points.double() - origin.to(device), anchor, origin.numpy(), out_of_range)


def voxelise(
    points: Tensor,
    voxel_size: float,
    engine: Engine,
    batch: Tensor | None = None,
    plan_invariant: bool = False,
    above_ground: bool = False,
) -> SparseTensor:
    """Points to one voxel each `floor(xyz / s)`; its feature is the xyz of its first point.

    Args:
        points: (N, 3) float32 or float64 metres, gravity along -z.
        voxel_size: s, metres.
        engine: what computes the convolutions.
        batch: (N,) scene index of each point, 0 if not given.
        plan_invariant: x and y of the feature count from the voxel's corner; see `ModelConfig`.
        above_ground: z of the feature counts from the ground; see `ground_level`.

    Returns:
        A tensor of stride 1 with 3 float32 channels.

    Raises:
        InputError: a point is too far from the origin.
    """
    cells = torch.floor(points / voxel_size).clamp(-(2.0**40), 2.0**40).long()
    index = cells.new_zeros(len(points)) if batch is None else batch
    coords, rows = engine.coordinate_set.from_coordinates(torch.cat([index[:, None], cells], 1))
    features = points[rows]
    if plan_invariant:
        corner = coords.coords[:, 1:3].to(points.dtype) * voxel_size
        features = torch.cat([features[:, :2] - corner, features[:, 2:]], 1)
    if above_ground:
        height = features[:, 2] - ground_level(coords, voxel_size).to(features.dtype)
        features = torch.cat([features[:, :2], height[:, None]], 1)
    return SparseTensor(features.float(), coords, engine)


def thinned(voxels: SparseTensor, max_voxels: int, anchor: Tensor) -> SparseTensor:
    """At most `max_voxels` of the voxels; the choice depends on where in the cloud's frame each voxel lies.

    Args:
        voxels: of stride 1.
        max_voxels: the most that are kept.
        anchor: see `UsablePoints`.
    """
    if len(voxels) <= max_voxels:
        return voxels
    return voxels.select(_scattered(voxels.coords.coords[:, 1:] + anchor.to(voxels.features.device), max_voxels))


def training_origin(xyz: np.ndarray) -> np.ndarray:
    """(3,) float64: the origin of a training crop.

    In plan the mean of the (N, 3) points, in height their first percentile: near the floor or the top of a table.
    """
    plan = xyz[:, :2].mean(0, dtype=np.float64)
    return np.array([*plan, np.percentile(xyz[:, 2], 1)], np.float64)


def _only(points: Tensor, mask: Tensor) -> Tensor:
    rows = mask.nonzero()[:, 0]
    return points if len(rows) == len(points) else points[rows]


def _middle(points: Tensor) -> Tensor:
    """(3,) median along each axis, of points spread evenly over the cloud where it has many."""
    return points[:: max(1, len(points) // _SAMPLE)].median(0).values


def _bulk(points: Tensor, reach: float) -> Tensor:
    """(3,) middle of the place that has most points within reach; of equal ones, of the nearest to the frame's origin."""
    blocks, block_of, counts = torch.unique(
        (points.double() / reach).floor(), dim=0, return_inverse=True, return_counts=True
    )
    # A place may lie on a corner of eight blocks.
    middles = [_middle(points[block_of == block]) for block in counts.argsort(descending=True, stable=True)[:_PLACES]]
    middles.sort(key=lambda middle: float(middle.double().norm()))
    within = [((points - middle).abs() <= reach).all(1) for middle in middles]
    counted = [int(mask.sum()) for mask in within]
    return _middle(points[within[counted.index(max(counted))]])


def _scattered(places: Tensor, most: int) -> Tensor:
    """(most,) ascending rows of (N, 3) integers, as if by chance; the more rows there are, the fewer of the same remain.

    Each row has a number that depends on its values only, and those of the smallest numbers are taken.
    """
    x, y, z = places.long().unbind(1)
    number = ((x * _MIX[0] + y) * _MIX[0] + z) * _MIX[0]
    number = (number ^ number >> 30 & (1 << 34) - 1) * _MIX[0]
    number = (number ^ number >> 27 & (1 << 37) - 1) * _MIX[1]
    largest = torch.kthvalue(number, most).values
    return (number <= largest).nonzero()[:most, 0]
