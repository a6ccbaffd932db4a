"""Axis-aligned boxes as centre and size, the extents of points, and corners."""

from __future__ import annotations

import numpy as np


def box_between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(..., 6) centre and size of the boxes with these (..., 3) lowest and highest corners."""
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def box_around(points: np.ndarray, left_out: float = 0.0) -> np.ndarray:
    """(6,) centre and size of the extent of (N, 3) points, N at least 1.

    Args:
        points: in any unit, which is that of the box.
        left_out: percent of the points that may lie beyond each face, along each axis.
    """
    if left_out:
        return box_between(*np.percentile(points, (left_out, 100 - left_out), axis=0))
    return box_between(points.min(axis=0), points.max(axis=0))


def corners(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(..., 3) lowest and highest corners of (..., 6) boxes, centre and size."""
    half = boxes[..., 3:6] / 2
    return boxes[..., :3] - half, boxes[..., :3] + half
