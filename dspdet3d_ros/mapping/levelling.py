"""Rotation of a cloud so that z points up."""

from __future__ import annotations

import numpy as np

# The height of the largest level plane is found in slabs of this thickness, metres.
_SLAB = 0.02
# The plane is fitted to points within these distances of it, one after the other, metres.
_REACHES = (0.06, 0.03, 0.02)
# A plane that is steeper than this is none that an approximate up direction missed.
_STEEPEST = np.tan(np.radians(15))
_LEAST_POINTS = 100


def rotation_to_up(up: np.ndarray) -> np.ndarray:
    """(3, 3) rotation that maps the direction `up` to +z."""
    up = np.asarray(up, np.float64) / np.linalg.norm(up)
    right = np.cross([0.0, 1.0, 0.0] if abs(up[1]) < 0.7 else [1.0, 0.0, 0.0], up)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(up, right), up])


def levelled(xyz: np.ndarray, up: np.ndarray) -> np.ndarray:
    """The points, rotated so that z points up and the largest nearly level plane is level.

    Args:
        xyz: (N, 3) floats, metres.
        up: (3,) approximate direction that points up, any length but 0.

    Returns:
        (N, 3) of the same type. The lowest points are near z = 0.
    """
    points = xyz.astype(np.float64) @ rotation_to_up(up).T
    for reach in _REACHES:
        if len(points) < _LEAST_POINTS:
            break
        edges = np.arange(points[:, 2].min(), points[:, 2].max() + 2 * _SLAB, _SLAB)
        counts, edges = np.histogram(points[:, 2], edges)
        height = edges[counts.argmax()] + _SLAB / 2
        plane = points[np.abs(points[:, 2] - height) < reach]
        middle = plane.mean(axis=0)
        columns = np.column_stack([plane[:, :2] - middle[:2], np.ones(len(plane))])
        slope = np.linalg.lstsq(columns, plane[:, 2], rcond=None)[0]
        if len(plane) < _LEAST_POINTS or np.hypot(slope[0], slope[1]) > _STEEPEST:
            break
        points = points @ rotation_to_up(np.array([-slope[0], -slope[1], 1.0])).T
    if len(points):
        points[:, 2] -= np.percentile(points[:, 2], 0.5)
    return points.astype(xyz.dtype)
