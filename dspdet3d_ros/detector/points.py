"""What is done to a cloud's points before the network sees them."""

from __future__ import annotations

import numpy as np

from dspdet3d_ros.clouds.cloud import finite
from dspdet3d_ros.errors import InputError


def as_points(xyz: np.ndarray) -> np.ndarray:
    """Checks that `xyz` is an (N, 3) array of real numbers.

    Raises:
        InputError: it is not.
    """
    xyz = np.asarray(xyz)
    if xyz.ndim != 2 or xyz.shape[1] != 3 or xyz.dtype.kind not in "fiu":
        raise InputError(f"points: expected an (N, 3) array of numbers, got shape {xyz.shape} of {xyz.dtype}")
    return xyz


def usable_points(xyz: np.ndarray, max_points: int) -> np.ndarray:
    """The finite points, every n-th of them where there are more than `max_points`.

    Args:
        xyz: (N, 3).
        max_points: the most that may be returned.

    Returns:
        (M, 3) of the same type.
    """
    good = finite(xyz)
    if not good.all():
        xyz = xyz[good]
    if len(xyz) > max_points:
        xyz = xyz[np.linspace(0, len(xyz) - 1, max_points).astype(np.int64)]
    return xyz


def training_origin(xyz: np.ndarray) -> np.ndarray:
    """(3,) float64: the place that is the origin of the clouds the network is trained on.

    In plan the mean of the points, in height their first percentile: near the floor of a room or the top of a table.
    """
    plan = xyz[:, :2].mean(0, dtype=np.float64)
    return np.array([*plan, np.percentile(xyz[:, 2], 1)], np.float64)
