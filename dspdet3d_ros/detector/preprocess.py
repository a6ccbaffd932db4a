"""From the points of a cloud to the voxels of the network, on its device.

The steps: leave out points that are out of range, thin a cloud that has too many, place the voxel grid,
divide the points into voxels, compute the features.

The grid is fixed in the frame of the cloud, and features depend on points nearby only. Therefore a place keeps its
voxels, features and boxes while a map grows elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.detector.ground import BLOCK, ground_level
from dspdet3d_ros.sparse import Engine, SparseTensor
from dspdet3d_ros.sparse.coords import COORDINATE_LIMIT

#: The network's strides: 1, 2, 4, … up to that of the coarsest cells.
STRIDES = BLOCK.bit_length()
#: Apart from `_OFFSET`, the origin of the grid is a multiple of this number of voxels in the frame of the cloud. It is
#: the edge of the coarsest cells, so the cells of all levels have the same faces for every cloud.
ANCHOR = BLOCK
#: How far the grid's origin is below such a multiple, voxels. A thousandth of a voxel: points at multiples of the voxel
#: size, as in maps of voxels, are not divided by rounding errors. Half a coarsest cell in plan: objects in the middle
#: of the frame are not at the edge where the faces of all levels meet. 12 voxels in height: a floor or table at z = 0
#: is in the middle of cells of 8 voxels, and not at the faces of all levels, where noise would divide it between cells.
_OFFSET = np.array([16, 16, 12]) + 1 / 1024
#: The largest multiple of `ANCHOR`, so that all numbers of voxels are exact in float64.
_MOST_ANCHORS = 2.0**45
#: The median of a cloud is computed from about this number of points.
_MEDIAN_POINTS = 1 << 16
#: The number of places that are tried as the middle of a cloud that is larger than the range of voxels.
_PLACES = 16
#: The factors of SplitMix64 (Steele et al. 2014), as signed numbers.
_MIX = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))


@dataclass(frozen=True)
class UsablePoints:
    """The points of a cloud that go into voxels.

    Attributes:
        xyz: (M, 3) float64 metres from the origin of the grid, on the device.
        origin: (3,) float64 metres, the origin of the grid in the frame of the cloud.
        anchor: (3,) int64 the same in voxels, without `_OFFSET`; on the CPU.
        out_of_range: number of points that are left out because they are too far from most others.
    """

    xyz: Tensor
    origin: np.ndarray
    anchor: Tensor
    out_of_range: int = 0


def usable_points(
    xyz: np.ndarray, device: torch.device, voxel_size: float, max_points: int, recenter: bool = True
) -> UsablePoints:
    """The points in range, at most `max_points` of them, in their order.

    The range of voxels is a cube of 5.2 km at 1 cm. It is placed where most of the points are, so that stray points
    are left out. Which points remain of too many depends on their coordinates, not on their index or on other points.

    Args:
        xyz: (N, 3) float32 or float64 metres, finite (`PointCloud`), gravity along -z.
        device: of the voxels.
        voxel_size: edge of a voxel, metres.
        max_points: the most points that remain.
        recenter: the origin of the grid is near the middle of the points; False: it is the origin of the frame.
    """
    kind = np.float32 if xyz.dtype == np.float32 else np.float64
    points = torch.from_numpy(np.require(xyz, kind, ["C", "W"])).to(device)
    count, reach = len(points), (COORDINATE_LIMIT - ANCHOR) * voxel_size
    anchor, origin = np.zeros(3, np.int64), np.zeros(3)
    if count:
        # One transfer: on a GPU each transfer waits for all earlier work.
        low, high, middle = torch.stack([points.amin(0), points.amax(0), _median(points)]).cpu().double().numpy()
        if recenter:
            if (high - low).max() > reach:
                middle = _main_place(points, reach).cpu().double().numpy()
            anchors = np.round(middle / (ANCHOR * voxel_size)).clip(-_MOST_ANCHORS, _MOST_ANCHORS)
            anchor = anchors.astype(np.int64) * ANCHOR
            origin = (anchor - _OFFSET) * voxel_size
        if np.maximum(origin - low, high - origin).max() > reach:
            points = _select(points, _within(points.double(), torch.from_numpy(origin).to(device), reach))
    out_of_range = count - len(points)
    if len(points) > max_points:
        bits = points.view(torch.int32 if kind == np.float32 else torch.int64)
        points = points[_choose(bits, max_points)]
    xyz64 = points.double() - torch.from_numpy(origin).to(device)
    return UsablePoints(xyz64, origin, torch.from_numpy(anchor), out_of_range)


def voxelise(
    points: Tensor,
    voxel_size: float,
    engine: Engine,
    batch: Tensor | None = None,
    relative_xy: bool = False,
    above_ground: bool = False,
) -> SparseTensor:
    """Points to one voxel each, `floor(xyz / s)`. The feature of a voxel is the xyz of its first point.

    Args:
        points: (N, 3) float32 or float64 metres, gravity along -z.
        voxel_size: s, metres.
        engine: computes the convolutions.
        batch: (N,) scene index of each point, 0 if not given.
        relative_xy: x and y of the features are measured from the voxel's lower corner; see `ModelConfig`.
        above_ground: z of the features is measured from the ground; see `ground_level`.

    Returns:
        A tensor of stride 1 with 3 float32 channels.

    Raises:
        InputError: a point is too far from the origin.
    """
    # A tensor on the device: by a number, CUDA multiplies with its reciprocal, and points between voxels change sides.
    size = torch.full((), voxel_size, dtype=points.dtype, device=points.device)
    cells = torch.floor(points / size).clamp(-(2.0**40), 2.0**40).long()
    if batch is None:
        coords, rows = engine.coordinate_set.pyramid(cells, STRIDES)
    else:
        coords, rows = engine.coordinate_set.from_coordinates(torch.cat([batch[:, None], cells], 1))
    features = points[rows]
    if relative_xy:
        corner = coords.coords[:, 1:3].to(points.dtype) * voxel_size
        features = torch.cat([features[:, :2] - corner, features[:, 2:]], 1)
    if above_ground:
        # `features` are copies of the points.
        features[:, 2] -= ground_level(coords, voxel_size).to(features.dtype)
    return SparseTensor(features.float(), coords, engine)


def limit_voxels(voxels: SparseTensor, max_voxels: int, anchor: Tensor) -> SparseTensor:
    """At most `max_voxels` of the voxels.

    Which ones remain depends on where they are in the frame of the cloud, not on their index or on other voxels.

    Args:
        voxels: of stride 1.
        max_voxels: the most voxels that remain.
        anchor: see `UsablePoints`.
    """
    if len(voxels) <= max_voxels:
        return voxels
    return voxels.select(_choose(voxels.coords.coords[:, 1:] + anchor.to(voxels.features.device), max_voxels))


def training_origin(xyz: np.ndarray) -> np.ndarray:
    """(3,) float64: the origin of a training crop of (N, 3) points.

    The mean of x and y, and the first percentile of z, which is near the floor or the top of a table.
    """
    plan = xyz[:, :2].mean(0, dtype=np.float64)
    return np.array([*plan, np.percentile(xyz[:, 2], 1)], np.float64)


def _select(points: Tensor, mask: Tensor) -> Tensor:
    rows = mask.nonzero()[:, 0]
    return points if len(rows) == len(points) else points[rows]


def _within(points: Tensor, middle: Tensor, reach: float) -> Tensor:
    """(N,) mask: points whose coordinates all differ by `reach` at most from those of the middle."""
    return ((points - middle).abs() <= reach).all(1)


def _median(points: Tensor) -> Tensor:
    """(3,) median along each axis; of a large cloud, of some of its points."""
    return points[:: max(1, len(points) // _MEDIAN_POINTS)].median(0).values


def _main_place(points: Tensor, reach: float) -> Tensor:
    """(3,) middle of the place with most points within reach; of equal ones, the nearest to the frame's origin."""
    _, block, count = torch.unique((points.double() / reach).floor(), dim=0, return_inverse=True, return_counts=True)
    # Points at one place may be in up to eight blocks.
    largest = count.argsort(descending=True, stable=True)[:_PLACES]
    middles = [_median(points), *(_median(points[block == one]) for one in largest)]
    middles.sort(key=lambda middle: float(middle.double().norm()))
    masks = [_within(points, middle, reach) for middle in middles]
    counts = [int(mask.sum()) for mask in masks]
    return _median(points[masks[counts.index(max(counts))]])


def _choose(places: Tensor, most: int) -> Tensor:
    """(most,) ascending rows of (N, 3) integers, N > most, chosen as if at random by a hash of their values.

    The rows with the smallest hashes are chosen. If rows are added, only added rows can replace rows that were chosen
    before.
    """
    x, y, z = places.long().unbind(1)
    number = ((x * _MIX[0] + y) * _MIX[0] + z) * _MIX[0]
    # Shifts without the sign: the mask has as many bits as remain.
    number = (number ^ number >> 30 & (1 << 34) - 1) * _MIX[0]
    number = (number ^ number >> 27 & (1 << 37) - 1) * _MIX[1]
    largest = torch.kthvalue(number, most).values
    return (number <= largest).nonzero()[:most, 0]
