"""Sides and tops of boxes moved to the points nearby.

The network predicts a box from cells of several voxels, so a face can be some millimetres away from the surface. Points
show where the surface is: on each side the box ends with its outermost points, except where they go on beyond it (a
neighbour), or end far inside (a part that the sensor did not see). Its lower face stays: there the support begins.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.geometry import box_between, corners
from dspdet3d_ros.native.library import FaceRules, check, has_library, load, pointer

#: How far a face moves outwards and inwards at the most, in voxels.
_OUT, _IN = 1.0, 2.0
#: Something goes on beyond a face if the last bit before the outermost place that the face can reach, so many voxels
#: long, has more than this part of the points that a bit as long inside the box has.
_GOES_ON = 0.3
_DENSITY = 0.25
#: Points above the lower face by this part of the height show the sides; at least and at most by so many voxels. The
#: lower ones are those of the support.
_ABOVE_SUPPORT = 0.3
_LEAST_ABOVE, _MOST_ABOVE = 0.6, 1.5
#: The most that the top rises and falls, as a part of the height.
_RISES, _FALLS = 0.25, 0.5
#: Points so far outside of the sides count for the top, too, in voxels.
_ASIDE = 0.2
#: The part of the points that lie outside of each face: that of the labels of generated scenes.
_OUTSIDE = 0.005
#: With fewer points a face stays. An axis keeps its faces, too, if they would leave less than this part of the extent.
_LEAST_POINTS = 15
_LEAST_EXTENT = 0.3
_TINY = 1e-9
#: The grid that finds the points near boxes: the fewest voxels along the edge of a cell, and the most cells.
_LEAST_EDGE = 4
_MOST_CELLS = 1 << 20


def fitted(boxes: Tensor, points: Tensor, voxel_size: float) -> Tensor:
    """The boxes with faces at the points.

    The C library does it where it was built; `fitted_by_numpy` says the same in NumPy.

    Args:
        boxes: (K, 6) float32 metres, on the CPU, finite.
        points: (N, 3) metres, in the frame of the boxes, on any device.
        voxel_size: edge of a voxel of the model, metres: all distances are in proportion to it.

    Returns:
        (K, 6) float32.
    """
    if not len(boxes) or not len(points):
        return boxes
    if not has_library():
        return fitted_by_numpy(boxes, points, voxel_size)
    low, high = corners(boxes.numpy())
    if points.device.type != "cpu":
        points = _near(points, low, high, voxel_size)
    points = points.double().contiguous()
    faces = torch.from_numpy(np.concatenate([low, high], axis=1))
    found = torch.empty_like(faces)
    check(
        load().native_fit_faces(
            pointer(points, torch.float64, len(points), 3),
            len(points),
            pointer(faces, torch.float32, len(faces), 6),
            len(faces),
            ctypes.byref(_rules(voxel_size)),
            pointer(found, torch.float32, len(faces), 6),
            torch.get_num_threads(),
        )
    )
    return torch.from_numpy(box_between(*np.split(found.numpy(), 2, axis=1)))


def fitted_by_numpy(boxes: Tensor, points: Tensor, voxel_size: float) -> Tensor:
    """See `fitted`."""
    low, high = corners(boxes.numpy())
    near = _near(points, low, high, voxel_size).float().numpy()
    near = near[np.argsort(near[:, 0])]
    reach = _OUT * voxel_size
    starts, stops = (np.searchsorted(near[:, 0], limit[:, 0]) for limit in (low - reach, high + reach))
    faces = [
        _faces(a, b, near[start:stop], voxel_size) for a, b, start, stop in zip(low, high, starts, stops, strict=True)
    ]
    low, high = np.array(faces, np.float32).reshape(-1, 2, 3).transpose(1, 0, 2)
    return torch.from_numpy(box_between(low, high))


@cache
def _rules(voxel_size: float) -> FaceRules:
    """The numbers above as the library takes them, in metres."""
    return FaceRules(
        most_out=_OUT * voxel_size,
        most_in=_IN * voxel_size,
        last_bit=_GOES_ON * voxel_size,
        goes_on=_DENSITY,
        above_part=_ABOVE_SUPPORT,
        least_above=_LEAST_ABOVE * voxel_size,
        most_above=_MOST_ABOVE * voxel_size,
        rises=_RISES,
        falls=_FALLS,
        aside=_ASIDE * voxel_size,
        outside=_OUTSIDE,
        least_extent=_LEAST_EXTENT,
        tiny=_TINY,
        least_edge=_LEAST_EDGE * voxel_size,
        most_cells=_MOST_CELLS,
        least_points=_LEAST_POINTS,
    )


def _near(points: Tensor, low: np.ndarray, high: np.ndarray, voxel_size: float) -> Tensor:
    """(M, 3) points on the CPU: those in the cells of a coarse grid that boxes from (K, 3) `low` to `high` reach."""
    low, high = (limit.astype(np.float64) for limit in (low - _OUT * voxel_size, high + _OUT * voxel_size))
    first, last, edge = low.min(0), high.max(0), _LEAST_EDGE * voxel_size
    while np.prod(np.floor((last - first) / edge) + 1) > _MOST_CELLS:
        edge *= 2
    # One more cell at both ends, which no box touches.
    first, shape = first - edge, np.floor((last - first) / edge).astype(np.int64) + 3
    touched = np.zeros(shape, bool)
    ranges = (np.floor((limit - first) / edge).astype(np.int64) for limit in (low, high))
    for start, stop in zip(*ranges, strict=True):
        touched[tuple(slice(a, b + 1) for a, b in zip(start, stop, strict=True))] = True
    limits = np.stack([first, shape - 1, [shape[1] * shape[2], shape[2], 1]])
    start, most, steps = torch.from_numpy(limits).to(points.device)
    cells = ((points - start) / edge).clamp_(torch.zeros_like(most), most).floor_()
    # No matrix product: on a GPU that may round its factors.
    number = cells.mul_(steps).sum(1).long()
    return points[torch.from_numpy(touched.reshape(-1)).to(points.device)[number]].cpu()


def _faces(low: np.ndarray, high: np.ndarray, points: np.ndarray, voxel: float) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner of one box, (3,) each; the points are those within `_OUT` of it along x."""
    new_low, new_high, height = low.copy(), high.copy(), high[2] - low[2]
    rise = min(_OUT * voxel, _RISES * height)
    above = low[2] + np.clip(_ABOVE_SUPPORT * height, _LEAST_ABOVE * voxel, _MOST_ABOVE * voxel)
    x, y, z = points.T
    beside = (z < high[2] + rise) & (y > low[1] - _OUT * voxel) & (y < high[1] + _OUT * voxel)
    x, y, z = x[beside], y[beside], z[beside]
    body = z > above
    for axis, along, across in ((0, x, y), (1, y, x)):
        other = 1 - axis
        line = np.sort(along[body & (across > low[other]) & (across < high[other])])
        extent = max(high[axis] - low[axis], _TINY)
        stop = _end(line, high[axis], extent, _OUT * voxel, _IN * voxel, voxel)
        start = -_end(-line[::-1], -low[axis], extent, _OUT * voxel, _IN * voxel, voxel)
        if stop - start >= _LEAST_EXTENT * extent:
            new_low[axis], new_high[axis] = start, stop
    margin = _ASIDE * voxel
    within = (x > new_low[0] - margin) & (x < new_high[0] + margin) & (z > low[2])
    within &= (y > new_low[1] - margin) & (y < new_high[1] + margin)
    new_high[2] = _end(np.sort(z[within]), high[2], max(height, _TINY), rise, min(_IN * voxel, _FALLS * height), voxel)
    return new_low, new_high


def _end(values: np.ndarray, face: float, extent: float, most_out: float, most_in: float, voxel: float) -> float:
    """The place of a face that looks along an axis.

    Args:
        values: (N,) places of points on the axis, ascending, those beyond the face by at most `_OUT`.
        face: its place as predicted.
        extent: of the box along the axis.
        most_out, most_in: how far it moves at the most.
        voxel: edge of a voxel.
    """
    count = int(np.searchsorted(values, face + most_out))
    if count < _LEAST_POINTS:
        return face
    outermost = count - int(np.searchsorted(values, face + most_out - _GOES_ON * voxel))
    if outermost > _DENSITY * count * _GOES_ON * voxel / extent:
        return face
    place = (1 - _OUTSIDE) * (count - 1)
    row = int(place)
    end = float(values[row] + (place - row) * (values[min(row + 1, count - 1)] - values[row]))
    return end if end >= face - most_in else face
