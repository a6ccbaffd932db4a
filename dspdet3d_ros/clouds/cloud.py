"""Point clouds, as every reader of clouds returns them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.errors import InputError

#: Class name of objects whose source has no names, and of the one class of class-agnostic models.
ANY_CLASS = "object"


# The network computes in float32: coordinates beyond its range cannot be used.
FARTHEST = float(np.finfo(np.float32).max)


def point_type(*sources: np.dtype) -> np.dtype:
    """float32 where it holds all values of these types, else float64: a millimetre 10 km away is lost in float32."""
    return np.dtype(np.float32 if np.result_type(np.float32, *sources) == np.float32 else np.float64)


def coordinates(xyz: np.ndarray) -> np.ndarray:
    """(N, 3) numbers, contiguous, in the type that a `PointCloud` holds them in."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(xyz, point_type(xyz.dtype))


def finite(xyz: np.ndarray) -> np.ndarray:
    """(N,) bool: points of (N, 3) numbers that are finite."""
    # Column by column: a reduction over rows of three takes several times as long.
    return np.isfinite(xyz[:, 0]) & np.isfinite(xyz[:, 1]) & np.isfinite(xyz[:, 2])


def usable(xyz: np.ndarray) -> np.ndarray:
    """(N,) bool: points of (N, 3) float32 or float64 that are finite and lie within float32."""
    if xyz.dtype == np.float32:
        return finite(xyz)
    with np.errstate(invalid="ignore"):
        return (np.abs(xyz[:, 0]) <= FARTHEST) & (np.abs(xyz[:, 1]) <= FARTHEST) & (np.abs(xyz[:, 2]) <= FARTHEST)


@dataclass(frozen=True)
class LabelledBoxes:
    """Axis-aligned boxes with class names, in the frame of their cloud.

    Attributes:
        boxes: (K, 6) float64, centre x y z and size dx dy dz in metres.
        names: K class names; "object" where the source has none.
    """

    boxes: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class PointCloud:
    """Points that can be used: finite, and within the range of float32. No later stage checks them again.

    Attributes:
        xyz: (N, 3) float32, or float64 where the source's numbers need it (see `point_type`); metres, z up, contiguous.
        rgb: (N, 3) uint8; None if the source has no colours, or they were not requested.
        truth: ground-truth boxes; None if the source has none.
        dropped: number of points of the source that were left out because a coordinate is not finite or beyond float32.
        remarks: faults of a source that could be read nevertheless.
        outside: number of points that were left out because they are outside the region of interest.
    """

    xyz: np.ndarray
    rgb: np.ndarray | None = None
    truth: LabelledBoxes | None = None
    dropped: int = 0
    remarks: tuple[Remark, ...] = ()
    outside: int = 0

    @classmethod
    def of(cls, xyz: np.ndarray, rgb: np.ndarray | None = None, truth: LabelledBoxes | None = None) -> PointCloud:
        """The points of an array that can be used.

        Args:
            xyz: (N, 3) numbers of any type, metres; may hold values that are not finite.
            rgb: (N, 3) uint8 or None.
            truth: ground-truth boxes or None.

        Raises:
            InputError: `xyz` is not an (N, 3) array of real numbers.
        """
        xyz = np.asarray(xyz)
        if xyz.ndim != 2 or xyz.shape[1] != 3 or xyz.dtype.kind not in "fiu":
            raise InputError(f"points: expected an (N, 3) array of numbers, got shape {xyz.shape} of {xyz.dtype}")
        xyz = coordinates(xyz)
        good = usable(xyz)
        if good.all():
            return cls(xyz, rgb, truth)
        return cls(xyz[good], None if rgb is None else rgb[good], truth, dropped=int(np.count_nonzero(~good)))

    @property
    def points_in(self) -> int:
        """Number of points of the source, usable or not."""
        return len(self.xyz) + self.dropped + self.outside
