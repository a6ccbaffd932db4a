"""Rotations about the axes of a frame."""

from __future__ import annotations

import numpy as np


def turn(axis: str, angle: float) -> np.ndarray:
    """(3, 3) rotation by `angle` radians about the axis "x", "y" or "z"."""
    c, s = np.cos(angle), np.sin(angle)
    rows = {
        "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
        "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
        "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
    }
    return np.array(rows[axis])
