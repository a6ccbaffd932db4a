"""A cloud made small enough for a page: thinned, quantised, as base64."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.cloud import finite, point_type

#: The most points that a page shows; more would make the file large and show no more on a screen.
MAX_POINTS = 400_000
STEPS = 65535


@dataclass(frozen=True)
class ShownPoints:
    """The points that a page shows.

    They are in random order, so that the first n are an even sample too, which the page draws while the view moves.

    Attributes:
        xyz: (M, 3) float32 or float64, metres.
        rgb: (M, 3) uint8, or None.
        total: points of the whole cloud.
    """

    xyz: np.ndarray
    rgb: np.ndarray | None
    total: int

    @classmethod
    def of(cls, xyz: np.ndarray, rgb: np.ndarray | None, most: int = MAX_POINTS) -> "ShownPoints":
        """At most `most` points of a cloud, drawn evenly from all of it, the same ones each time.

        Args:
            xyz: (N, 3) metres; points that are not finite are left out.
            rgb: (N, 3) uint8, or None.
            most: the most points.
        """
        xyz = np.asarray(xyz, point_type(np.asarray(xyz).dtype)).reshape(-1, 3)
        usable = np.flatnonzero(finite(xyz))
        chosen = np.random.default_rng(0).permutation(usable)[:most]
        return cls(xyz[chosen], None if rgb is None else np.asarray(rgb, np.uint8)[chosen], len(xyz))

    def as_json(self) -> dict[str, Any]:
        """Plain values: `count`, `total`, `low` and `size` (metres), `spacing` (metres), `xyz` and `rgb` (base64).

        `xyz` are uint16, little-endian, three a point: 0 is `low`, 65535 is `low + size`. `rgb` is empty where the
        cloud has no colours.
        """
        low = self.xyz.min(axis=0).astype(np.float64) if len(self.xyz) else np.zeros(3)
        size = self.xyz.max(axis=0) - low if len(self.xyz) else np.ones(3)
        steps = np.rint((self.xyz - low) / np.maximum(size, 1e-9) * STEPS).astype("<u2")
        return {
            "count": len(self.xyz),
            "total": self.total,
            "low": low.tolist(),
            "size": size.tolist(),
            "spacing": self.spacing(),
            "xyz": _base64(steps),
            "rgb": "" if self.rgb is None else _base64(self.rgb),
        }

    def spacing(self) -> float:
        """Typical distance between neighbours on the surfaces, metres: from the area of the cells that they fill."""
        if len(self.xyz) < 2:
            return 0.01
        low, high = np.percentile(self.xyz, (1, 99), axis=0)
        # So coarse that a cell of a surface holds many points, so fine that cells are flat beside the cloud.
        cell = max(float(np.linalg.norm(high - low)) / 100, 1e-4)
        filled = np.unique(np.floor((self.xyz - low) / cell).astype(np.int32), axis=0)
        return float(cell * np.sqrt(len(filled) / len(self.xyz)))


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
