"""Poses by stamp."""

from __future__ import annotations

import bisect

import numpy as np

from dspdet3d_ros.geometry import interpolate
from dspdet3d_ros.mapping.frame import FrameRefused

#: Two poses that are farther apart in time are not interpolated: the camera may have gone another way between them.
INTERPOLATED_S = 0.25


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

    def find(self, stamp: float, tolerance: float, most_gap: float | None = None) -> np.ndarray | None:
        """The pose at a stamp; None if no pose is near enough.

        Args:
            stamp: when.
            tolerance: maximum distance to the nearest pose, where there are no two to interpolate.
            most_gap: two poses with a longer gap between them are not interpolated; None: all are.
        """
        around = self.around(stamp)
        if len(around) == 2 and (most_gap is None or around[1] - around[0] <= most_gap):
            before, after = around
            return interpolate(self._poses[before], self._poses[after], (stamp - before) / (after - before))
        near = [known for known in around if abs(known - stamp) <= tolerance]
        return self._poses[min(near, key=lambda known: abs(known - stamp))] if near else None

    def at(self, stamp_s: float, tolerance_s: float) -> np.ndarray:
        """The pose at a stamp: between two poses it is interpolated, next to one the nearest is taken.

        Args:
            stamp_s: seconds.
            tolerance_s: maximum distance to the nearest pose, where there are no two to interpolate: with a gap of at
                most `INTERPOLATED_S`, or twice the tolerance.

        Raises:
            FrameRefused: kind "pose": no pose is near enough.
        """
        pose = self.find(stamp_s, tolerance_s, max(INTERPOLATED_S, 2 * tolerance_s))
        if pose is None:
            around = self.around(stamp_s)
            if not around:
                raise FrameRefused("pose", "pose: there are no poses; record or publish the poses of the camera")
            gap = min(abs(known - stamp_s) for known in around)
            raise FrameRefused(
                "pose",
                f"pose: the nearest one is {gap:.3g} s away from the stamp of the image, expected at most "
                f"{tolerance_s:g} s, or two around it that are {INTERPOLATED_S:g} s apart; check that both use the "
                "same clock, and that poses come often enough",
            )
        return pose
