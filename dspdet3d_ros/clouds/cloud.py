"""What every reader of clouds returns."""

from dataclasses import dataclass

import numpy as np

#: Class name of objects whose source has no names, and of the one class of class-agnostic models.
ANY_CLASS = "object"


# The network computes in float32: no coordinate beyond it is a place.
FARTHEST = float(np.finfo(np.float32).max)


def point_type(*sources: np.dtype) -> np.dtype:
    """float32 where it holds all values of these types, else float64: a millimetre 10 km away is lost in float32."""
    return np.dtype(np.float32 if np.result_type(np.float32, *sources) == np.float32 else np.float64)


def coordinates(xyz: np.ndarray) -> np.ndarray:
    """(N, 3) numbers, contiguous, in the type that a Cloud holds them in."""
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
class Cloud:
    """A point cloud, z up.

    Attributes:
        xyz: (N, 3) float32, or float64 where the source's numbers need it (see `point_type`); metres, finite.
        rgb: (N, 3) uint8, or None where the source has no colours.
        truth: ground-truth boxes, or None where the source has none.
    """

    xyz: np.ndarray
    rgb: np.ndarray | None = None
    truth: LabelledBoxes | None = None
