"""Overlap of boxes that are turned about the vertical."""

from __future__ import annotations

import numpy as np

from dspdet3d_ros.learning.datasets.extents import extents_along


def turned_iou(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two boxes, each (7,) centre, size and yaw."""
    low = max(first[2] - first[5] / 2, second[2] - second[5] / 2)
    high = min(first[2] + first[5] / 2, second[2] + second[5] / 2)
    if high <= low:
        return 0.0
    polygon = _base(first)
    base = _base(second)
    for start, end in zip(base, np.roll(base, -1, axis=0), strict=True):
        polygon = _left_of(polygon, start, end)
        if len(polygon) < 3:
            return 0.0
    shared = _area(polygon) * (high - low)
    return float(shared / (np.prod(first[3:6]) + np.prod(second[3:6]) - shared))


def _base(box: np.ndarray) -> np.ndarray:
    """(4, 2) corners of the base, counter-clockwise, about the origin of the first box's frame."""
    c, s = np.cos(box[6]), np.sin(box[6])
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    return box[:2] + (signs * box[3:5]) @ np.array([[c, s], [-s, c]])


def _left_of(polygon: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The part of a convex polygon to the left of a line."""
    direction = end - start
    side = direction[0] * (polygon[:, 1] - start[1]) - direction[1] * (polygon[:, 0] - start[0])
    kept = []
    for k in range(len(polygon)):
        this, other = side[k - 1], side[k]
        if this * other < 0:
            kept.append(polygon[k - 1] + (polygon[k] - polygon[k - 1]) * this / (this - other))
        if other >= 0:
            kept.append(polygon[k])
    return np.array(kept).reshape(-1, 2)


def _area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def turned_truth(boxes: np.ndarray, extents: np.ndarray) -> np.ndarray:
    """(K, 7) the boxes of least base around objects whose extents in plan are known; see `datasets.extents`.

    Args:
        boxes: (K, 6) exact boxes.
        extents: (K, D, 2) of the objects.
    """
    angles = np.radians(np.arange(0, 90, 1.0))
    along = np.stack([extents_along(extents, np.array([np.cos(a), np.sin(a)])) for a in angles], axis=1)
    across = np.stack([extents_along(extents, np.array([-np.sin(a), np.cos(a)])) for a in angles], axis=1)
    best = (np.ptp(along, axis=2) * np.ptp(across, axis=2)).argmin(1)
    rows = np.arange(len(boxes))
    x, y, yaw = along[rows, best], across[rows, best], angles[best]
    middle = np.stack([x.mean(1), y.mean(1)], axis=1)
    c, s = np.cos(yaw), np.sin(yaw)
    centres = np.stack([c * middle[:, 0] - s * middle[:, 1], s * middle[:, 0] + c * middle[:, 1]], axis=1)
    sizes = np.stack([np.ptp(x, axis=1), np.ptp(y, axis=1)], axis=1)
    return np.concatenate([centres, boxes[:, 2:3], sizes, boxes[:, 5:6], yaw[:, None]], axis=1)
