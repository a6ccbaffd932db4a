"""Extents of objects in plan, in many directions: enough to know their boxes after any turn about the vertical."""

from __future__ import annotations

import numpy as np

#: Directions that are stored, evenly spread over half a turn. Between two of them a round object is taken for
#: 1 / cos(π / 64) of its radius: 0.1 % too large.
DIRECTIONS = 32


def plan_directions(count: int = DIRECTIONS) -> np.ndarray:
    """(count, 2) unit vectors in plan; direction k is at the angle k·π / count."""
    angles = np.arange(count) * np.pi / count
    return np.column_stack([np.cos(angles), np.sin(angles)])


def plan_extents(points: np.ndarray, left_out: float) -> np.ndarray:
    """(DIRECTIONS, 2) lowest and highest coordinate of points along each of the `plan_directions`.

    Args:
        points: (N, 2) or more columns, N at least 1; x and y are used.
        left_out: percent of the points that may lie beyond each end.
    """
    along = plan_directions().astype(points.dtype) @ points[:, :2].T
    return np.percentile(along, (left_out, 100 - left_out), axis=1).T


def moved_extents(extents: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """(..., D, 2) extents of objects that were moved by `offset`, (2,) or more, of which x and y count."""
    return extents + (plan_directions(extents.shape[-2]) @ offset[:2])[:, None]


def extents_along(extents: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """(K, 2) lowest and highest value of `vector · p` over the points p of each object.

    Between two stored directions the objects are taken to reach to the corner where the two lines meet: exact for
    corners, slightly too large for curves. A place far from the origin makes no difference.

    Args:
        extents: (K, D, 2) of the objects; rows of NaN give NaN.
        vector: (2,) of any length.
    """
    count = extents.shape[1]
    step = np.pi / count
    angle = np.arctan2(vector[1], vector[0]) % (2 * np.pi)
    if angle >= np.pi:
        # The opposite direction: what was highest is lowest.
        return -extents_along(extents, -np.asarray(vector))[:, ::-1]
    first = min(int(angle / step), count - 1)
    after = angle - first * step
    low = extents[:, first]
    high = extents[:, first + 1] if first + 1 < count else -extents[:, 0, ::-1]
    mixed = (low * np.sin(step - after) + high * np.sin(after)) / np.sin(step)
    return mixed * np.hypot(*vector)
