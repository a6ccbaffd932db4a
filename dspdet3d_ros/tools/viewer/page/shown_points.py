"""The points of a cloud as a page contains them: thinned, quantised, in base64."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.cloud import PointCloud

#: Maximum number of points on a page. More points make the file larger, but a screen cannot show them.
MAX_POINTS = 400_000
STEPS = 65535


@dataclass(frozen=True)
class ShownPoints:
    """The points that a page shows.

    They are in random order, so that the first n are an even sample. The page draws such a sample while the view moves.

    Attributes:
        xyz: (M, 3) float32 or float64, metres.
        rgb: (M, 3) uint8, or None.
        total: number of points of the whole cloud.
    """

    xyz: np.ndarray
    rgb: np.ndarray | None
    total: int

    @classmethod
    def of(cls, cloud: PointCloud, most: int = MAX_POINTS) -> "ShownPoints":
        """An even random sample of a cloud, the same in each call.

        Args:
            cloud: in metres.
            most: maximum number of points.
        """
        chosen = np.random.default_rng(0).permutation(len(cloud.xyz))[:most]
        return cls(cloud.xyz[chosen], None if cloud.rgb is None else cloud.rgb[chosen], len(cloud.xyz))

    def as_json(self) -> dict[str, Any]:
        """Plain values: `count`, `total`, `low` and `size` (metres), `spacing` (metres), `xyz` and `rgb` (base64).

        `xyz` has three little-endian uint16 per point: 0 is `low`, 65535 is `low + size`. `rgb` is empty if the cloud
        has no colours.
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
        """Typical distance between neighbours on surfaces, metres, from the number of cells that the points occupy."""
        if len(self.xyz) < 2:
            return 0.01
        low, high = np.percentile(self.xyz, (1, 99), axis=0)
        # Cells are coarse enough to contain many points of a surface, and fine enough compared with the cloud.
        cell = max(float(np.linalg.norm(high - low)) / 100, 1e-4)
        filled = np.unique(np.floor((self.xyz - low) / cell).astype(np.int32), axis=0)
        return float(cell * np.sqrt(len(filled) / len(self.xyz)))


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
