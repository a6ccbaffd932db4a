"""Boxes of any orientation, as annotation tools have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.geometry import box_between, rotate

# Cosine of the largest angle between an edge of a box and the vertical at which the box counts as upright: 8 degrees.
_UPRIGHT = 0.99


@dataclass(frozen=True)
class OrientedBoxes:
    """Boxes of any orientation with class names, in one frame.

    Attributes:
        centres: (K, 3) metres, or another unit.
        axes: (K, 3, 3), the columns are the directions of the edges, unit vectors.
        sizes: (K, 3) lengths of the edges in the order of the columns.
        names: K class names.
    """

    centres: np.ndarray
    axes: np.ndarray
    sizes: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]]) -> OrientedBoxes:
        """From names, centres, axes and sizes of single boxes."""
        return cls(
            np.array([row[1] for row in rows], np.float64).reshape(-1, 3),
            np.array([row[2] for row in rows], np.float64).reshape(-1, 3, 3),
            np.array([row[3] for row in rows], np.float64).reshape(-1, 3),
            tuple(row[0] for row in rows),
        )

    @classmethod
    def of_turned(cls, rows: np.ndarray, names: tuple[str, ...]) -> OrientedBoxes:
        """From (K, 7) rows of centre, size and yaw."""
        axes = [rotate("z", yaw) for yaw in rows[:, 6]]
        return cls(rows[:, :3], np.array(axes, np.float64).reshape(-1, 3, 3), rows[:, 3:6], names)

    def __len__(self) -> int:
        return len(self.names)

    def moved(self, matrix: np.ndarray, offset: np.ndarray | None = None) -> OrientedBoxes:
        """The boxes after a rotation with uniform scaling, a (3, 3) matrix, and an offset, (3,)."""
        scale = np.cbrt(abs(np.linalg.det(matrix)))
        centres = self.centres @ matrix.T + (0 if offset is None else offset)
        return OrientedBoxes(centres, (matrix / scale) @ self.axes, self.sizes * scale, self.names)

    def corners(self) -> np.ndarray:
        """(K, 8, 3): corner k is at the signs of the bits of k, the first edge first."""
        signs = np.array([[(k >> bit & 1) - 0.5 for bit in range(3)] for k in range(8)])
        return self.centres[:, None] + (signs * self.sizes[:, None]) @ self.axes.transpose(0, 2, 1)

    def angles(self) -> np.ndarray:
        """(K, 3) radians about the fixed axes x, then y, then z; see `rotation`."""
        r = self.axes
        x, z = np.arctan2(r[:, 2, 1], r[:, 2, 2]), np.arctan2(r[:, 1, 0], r[:, 0, 0])
        return np.stack([x, np.arcsin(np.clip(-r[:, 2, 0], -1, 1)), z], axis=1)

    def hulls(self) -> np.ndarray:
        """(K, 6) float64: the boxes parallel to the axes of the frame that enclose these boxes."""
        half = np.abs(self.axes) @ (self.sizes / 2)[:, :, None]
        return box_between(self.centres - half[:, :, 0], self.centres + half[:, :, 0])

    def turned(self) -> tuple[np.ndarray, np.ndarray]:
        """(K, 7) float64 centre, size and yaw, and (K,) bool, which boxes stand upright. Others have rows of NaN.

        The size is along the x, y and z of the turned box. The yaw is in radians about z, -π/4 to π/4: of the four
        descriptions of the same box, the one that is nearest to the axes.
        """
        rows, upright = np.full((len(self), 7), np.nan), np.zeros(len(self), bool)
        for k, (centre, axes, size) in enumerate(zip(self.centres, self.axes, self.sizes, strict=True)):
            vertical = int(np.abs(axes[2]).argmax())
            upright[k] = abs(axes[2, vertical]) >= _UPRIGHT
            if upright[k]:
                first, second = ((1, 2), (2, 0), (0, 1))[vertical]
                yaw = float(np.arctan2(axes[1, first], axes[0, first]))
                quarter = round(yaw / (np.pi / 2))
                plan = size[[first, second]] if quarter % 2 == 0 else size[[second, first]]
                rows[k] = [*centre, *plan, size[vertical], yaw - quarter * np.pi / 2]
        return rows, upright


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """(3, 3) rotation by angles in radians about the fixed axes x, then y, then z."""
    return rotate("z", z) @ rotate("y", y) @ rotate("x", x)
