"""Conversion of clouds whose coordinates are not metres or whose z axis does not point up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dspdet3d_ros.clouds.cloud import LabelledBoxes, PointCloud
from dspdet3d_ros.defaults import UNITS, UPS
from dspdet3d_ros.errors import InputError

# Rows: the sources of the new x, y and z. All are rotations, by 90 or 180 degrees about one axis.
_ROTATIONS = {
    "x": ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    "y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-x": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    "-y": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-z": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
}


def upright(cloud: PointCloud, up: str = "z", unit: str = "m") -> PointCloud:
    """The cloud in metres with z up; labelled boxes are converted with it.

    Args:
        cloud: as it was read.
        up: the axis of the file that points up, one of `defaults.UPS`. The cloud is rotated by a right angle about x
            (y and -y up) or y (x and -x up), or by 180 degrees about x (-z up).
        unit: of the file's coordinates, one of `defaults.UNITS`.

    Raises:
        InputError: `up` or `unit` is none of these.
    """
    matrix = to_upright(up, unit)
    if (up, unit) == ("z", "m"):
        return cloud
    truth = cloud.truth
    if truth is not None:
        centres, sizes = truth.boxes[:, :3] @ matrix.T, truth.boxes[:, 3:] @ np.abs(matrix).T
        truth = LabelledBoxes(np.concatenate([centres, sizes], axis=1), truth.names)
    return replace(cloud, xyz=(cloud.xyz @ matrix.T).astype(cloud.xyz.dtype), truth=truth)


def to_upright(up: str = "z", unit: str = "m") -> np.ndarray:
    """(3, 3) matrix that `upright` multiplies points with.

    Raises:
        InputError: `up` or `unit` is none of these.
    """
    if up not in UPS:
        raise InputError(f"up: expected one of {', '.join(UPS)}, got {up!r}")
    if unit not in UNITS:
        raise InputError(f"unit: expected one of {', '.join(UNITS)}, got {unit!r}")
    return np.array(_ROTATIONS[up]) * UNITS[unit]
