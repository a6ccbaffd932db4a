"""A box outside of which points are as if they were not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.errors import InputError


@dataclass(frozen=True)
class Region:
    """A box parallel to the axes; a side may be open.

    Attributes:
        low: (3,) least x, y and z, metres; -inf for an open side.
        high: (3,) greatest x, y and z, metres; inf for an open side.
    """

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, low: Sequence[float], high: Sequence[float]) -> Region | None:
        """The region between two corners, of which either may be empty; None if both are.

        Raises:
            InputError: `fault` says why.
        """
        text = fault(low, high)
        if text:
            raise InputError(text)
        if not len(low) and not len(high):
            return None
        return cls(np.array(low or [-np.inf] * 3, np.float64), np.array(high or [np.inf] * 3, np.float64))

    def crop(self, cloud: PointCloud) -> PointCloud:
        """The points inside; faces belong to the region. `PointCloud.outside` counts the others."""
        inside = np.ones(len(cloud.xyz), bool)
        # Column by column: a reduction over rows of three takes several times as long.
        for axis in range(3):
            inside &= (cloud.xyz[:, axis] >= self.low[axis]) & (cloud.xyz[:, axis] <= self.high[axis])
        outside = len(inside) - int(np.count_nonzero(inside))
        rgb = None if cloud.rgb is None else cloud.rgb[inside]
        return replace(cloud, xyz=np.ascontiguousarray(cloud.xyz[inside]), rgb=rgb, outside=cloud.outside + outside)


def fault(low: Sequence[float], high: Sequence[float], names: tuple[str, str] = ("roi_min", "roi_max")) -> str | None:
    """Why two corners bound no region, in one line; None if they do, or if one of them is empty.

    Args:
        low, high: corners, each of three numbers or empty.
        names: what they are called where the user sets them.
    """
    for name, corner in zip(names, (low, high), strict=True):
        if len(corner) not in (0, 3):
            return f"{name}: expected x, y and z, or nothing, got {len(corner)} numbers"
    for axis, least, greatest in zip("xyz", low, high, strict=False):
        if least >= greatest:
            most = f"{names[1]} along {axis} ({greatest:g})"
            return f"{names[0]}: expected less than {most}, got {least:g}; set both at once"
    return None
