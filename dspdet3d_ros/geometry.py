"""Axis-aligned boxes, extents of points, assignment of points to boxes, and rotations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    # Only for the type: torch takes seconds to import.
    from torch import Tensor

Array = TypeVar("Array", np.ndarray, "Tensor")


def box_between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(..., 6) centre and size of boxes, from their (..., 3) lowest and highest corners."""
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def box_around(points: np.ndarray, left_out: float = 0.0) -> np.ndarray:
    """(6,) centre and size of the extent of (N, 3) points, N at least 1.

    Args:
        points: in any unit; the box has the same.
        left_out: percentage of the points that may lie beyond each face.
    """
    if left_out:
        return box_between(*np.percentile(points, (left_out, 100 - left_out), axis=0))
    return box_between(points.min(axis=0), points.max(axis=0))


def corners(boxes: Array) -> tuple[Array, Array]:
    """(..., 3) lowest and highest corners of boxes, from their (..., 6) centre and size."""
    half = boxes[..., 3:6] / 2
    return boxes[..., :3] - half, boxes[..., :3] + half


def inside_any(points: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(N,) whether (N, 3) points lie in one of (K, 6) boxes, which are parallel to the axes."""
    inside = np.zeros(len(points), bool)
    for low, high in zip(*corners(boxes), strict=True):
        inside |= np.logical_and.reduce((points >= low) & (points <= high), axis=1)
    return inside


def of_unit_length(vectors: np.ndarray, tolerance: float) -> bool:
    """Whether all (N, D) vectors have a length that differs from 1 by less than the tolerance. NaN does not."""
    return bool((np.abs(np.linalg.norm(vectors, axis=1) - 1) < tolerance).all())


def hulls(turned: np.ndarray) -> np.ndarray:
    """(K, 6) boxes parallel to the axes around (K, 7) boxes of centre, size and yaw (radians about z)."""
    c, s = np.abs(np.cos(turned[:, 6])), np.abs(np.sin(turned[:, 6]))
    x, y = turned[:, 3] * c + turned[:, 4] * s, turned[:, 3] * s + turned[:, 4] * c
    return np.column_stack([turned[:, :3], x, y, turned[:, 5]])


def rotate(axis: str, angle: float) -> np.ndarray:
    """(3, 3) rotation matrix by `angle` radians about the axis "x", "y" or "z"."""
    c, s = np.cos(angle), np.sin(angle)
    rows = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    return np.array(rows[axis])


def quaternion_rotation(quaternion: np.ndarray) -> np.ndarray:
    """(3, 3) float64 rotation matrix of a quaternion x y z w, which need not be of length one.

    The result is not a rotation if the quaternion is zero or not finite; callers check that.
    """
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """(4,) unit quaternion x y z w of a (3, 3) rotation: the eigenvector of Bar-Itzhack's matrix (2000)."""
    r = rotation
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    q = np.linalg.eigh(k, UPLO="L")[1][:, -1]
    return q if q[3] >= 0 else -q


def interpolate(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """(4, 4) pose between two: linear in position, at constant angular speed in rotation (slerp).

    Args:
        first: (4, 4) rigid transform.
        second: (4, 4) rigid transform.
        share: 0 for the first, 1 for the second.
    """
    a, b = quaternion_of(first[:3, :3]), quaternion_of(second[:3, :3])
    cosine = float(a @ b)
    if cosine < 0:
        b, cosine = -b, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-6:
        mixed = (1 - share) * a + share * b
    else:
        mixed = (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
    pose = np.eye(4)
    pose[:3, :3] = quaternion_rotation(mixed)
    pose[:3, 3] = (1 - share) * first[:3, 3] + share * second[:3, 3]
    return pose


# Limits of the coarse grid that discards points far from all boxes: cells per axis and cells in total.
CELLS_PER_AXIS = 256
CELLS = 1 << 21
LEAST_EXTENT_M = 1e-6
# Points per chunk; their columns fit into the cache of the processor.
CHUNK = 1 << 15


def box_of_points(xyz: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The box that contains each point; faces belong to the box.

    A point in several boxes belongs to the one with the smallest volume, and of equal ones to the first. So a cup on a
    tray keeps its points although the box of the tray contains them, whichever of the two has the higher score.

    Args:
        xyz: (N, 3) floats, finite, metres.
        boxes: (K, 6), centre and size in metres, parallel to the axes of `xyz`.

    Returns:
        (N,) int32 index into `boxes`, -1 for points outside all boxes.
    """
    owner = np.full(len(xyz), -1, np.int32)
    if len(xyz) == 0 or len(boxes) == 0:
        return owner
    low, high = corners(boxes.astype(xyz.dtype))
    index = _near_boxes(xyz, low, high)
    # Sorted by x, the candidates of a box are contiguous.
    index = index[np.argsort(xyz[index, 0], kind="stable")]
    x, y, z = (np.ascontiguousarray(xyz[index, axis]) for axis in range(3))
    free = np.ones(len(index), bool)
    taken = 0
    for box in np.argsort(boxes[:, 3:].prod(axis=1, dtype=np.float64), kind="stable"):
        some = slice(np.searchsorted(x, low[box, 0], "left"), np.searchsorted(x, high[box, 0], "right"))
        inside = (y[some] >= low[box, 1]) & (y[some] <= high[box, 1])
        inside &= (z[some] >= low[box, 2]) & (z[some] <= high[box, 2])
        inside &= free[some]
        owner[index[some][inside]] = box
        free[some] &= ~inside
        taken += np.count_nonzero(inside)
        if 4 * taken > len(index):
            index, x, y, z = index[free], x[free], y[free], z[free]
            free, taken = np.ones(len(index), bool), 0
    return owner


def points_in_boxes(xyz: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The number of points in each box; a point in several boxes counts in each; faces belong to the box.

    Args:
        xyz: (N, 3) floats, finite, metres.
        boxes: (K, 6), centre and size in metres, parallel to the axes of `xyz`.

    Returns:
        (K,) int64.
    """
    counts = np.zeros(len(boxes), np.int64)
    if len(xyz) == 0 or len(boxes) == 0:
        return counts
    low, high = corners(boxes.astype(xyz.dtype))
    index = _near_boxes(xyz, low, high)
    near = xyz[index[np.argsort(xyz[index, 0], kind="stable")]]
    for box in range(len(boxes)):
        # Sorted by x, the candidates of a box are contiguous.
        first = np.searchsorted(near[:, 0], low[box, 0], "left")
        some = near[first : np.searchsorted(near[:, 0], high[box, 0], "right")]
        counts[box] = np.count_nonzero(((some >= low[box]) & (some <= high[box])).all(axis=1))
    return counts


def _near_boxes(xyz: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Indices of the points in those cells of a coarse grid that a box touches: all points in boxes, and few others."""
    start, end = low.min(axis=0), high.max(axis=0)
    # Far from the origin both corners of a box may round to the same number.
    extent = np.maximum(end.astype(np.float64) - start, LEAST_EXTENT_M)
    edge = max(extent.max() / CELLS_PER_AXIS, math.pow(extent.prod() / CELLS, 1 / 3))
    scale = xyz.dtype.type(1 / edge)
    shape = ((end - start) * scale).astype(np.int64) + 1
    touched = np.zeros(shape + 2, bool)
    # A margin of one untouched cell on each side receives the points outside the grid.
    bottoms, tops = (((corners - start) * scale).astype(np.int64) for corners in (low, high))
    for bottom, top in zip(bottoms, tops, strict=True):
        touched[tuple(slice(b + 1, t + 2) for b, t in zip(bottom, top, strict=True))] = True
    flat = touched.ravel()
    strides = (int(touched.shape[1] * touched.shape[2]), int(touched.shape[2]), 1)
    near = np.empty(len(xyz), bool)
    for begin in range(0, len(xyz), CHUNK):
        part = slice(begin, begin + CHUNK)
        cell = np.zeros(len(near[part]), np.int32)
        for axis in range(3):
            # Coordinates that overflow are outside.
            with np.errstate(over="ignore"):
                column = (xyz[part, axis] - start[axis]) * scale
            # Truncation maps (-1, 0) to 0, which selects a few more points than needed, never fewer.
            cell += (np.clip(column, -1, shape[axis]).astype(np.int32) + 1) * np.int32(strides[axis])
        near[part] = flat[cell]
    return np.flatnonzero(near)
