"""Poses by stamp."""

from __future__ import annotations

import bisect

import numpy as np

from dspdet3d_ros.geometry import interpolate
from dspdet3d_ros.mapping.frame import FrameRefused


class Trajectory:
    """Poses of one frame, kept in the order of their stamps.

    Args:
        most: maximum number of poses; the oldest ones are forgotten.
        memory: poses that are older than the latest by more are forgotten; in the unit of the stamps.
    """

    def __init__(self, most: int | None = None, memory: float | None = None) -> None:
        self._most, self._memory = most, memory
        self._stamps: list[float] = []
        self._poses: dict[float, np.ndarray] = {}

    def __len__(self) -> int:
        """Number of poses."""
        return len(self._stamps)

    @property
    def last_stamp(self) -> float | None:
        """Stamp of the latest pose; None without poses."""
        return self._stamps[-1] if self._stamps else None

    def add(self, stamp: float, pose: np.ndarray) -> None:
        """Adds a (4, 4) pose; a second one with the same stamp replaces the first."""
        if stamp not in self._poses:
            bisect.insort(self._stamps, stamp)
        self._poses[stamp] = pose
        while (self._most is not None and len(self) > self._most) or (
            self._memory is not None and self._stamps[-1] - self._stamps[0] > self._memory
        ):
            del self._poses[self._stamps.pop(0)]

    def clear(self) -> None:
        """Forgets all poses."""
        self._stamps.clear()
        self._poses.clear()

    def around(self, stamp: float) -> list[float]:
        """The stamp itself if it has a pose, else the stamps before and after it, as far as there are any."""
        if stamp in self._poses:
            return [stamp]
        place = bisect.bisect_left(self._stamps, stamp)
        return self._stamps[max(place - 1, 0) : place + 1]

    def between(self, stamp: float, around: list[float]) -> np.ndarray:
        """The pose at a stamp: that of the only one of the stamps around it, or interpolated between two."""
        if len(around) == 1:
            return self._poses[around[0]]
        before, after = around
        return interpolate(self._poses[before], self._poses[after], (stamp - before) / (after - before))

    def at(self, stamp_s: float, tolerance_s: float) -> np.ndarray:
        """The pose at a stamp: between two poses it is interpolated, next to one the nearest is taken.

        Args:
            stamp_s: seconds.
            tolerance_s: maximum distance to the nearest pose. Two poses with a gap of more than twice this are not
                interpolated.

        Raises:
            FrameRefused: kind "pose": no pose is near enough.
        """
        around = self.around(stamp_s)
        if not around:
            raise FrameRefused("pose", "pose: there are no poses; record or publish the poses of the camera")
        nearest = min(around, key=lambda stamp: abs(stamp - stamp_s))
        if (gap := abs(nearest - stamp_s)) > tolerance_s:
            raise FrameRefused(
                "pose",
                f"pose: the nearest one is {gap:.3g} s away from the stamp of the image, expected at most "
                f"{tolerance_s:g} s; check that both use the same clock",
            )
        return self.between(stamp_s, around if around[-1] - around[0] <= 2 * tolerance_s else [nearest])
