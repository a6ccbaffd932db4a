"""Poses by stamp."""

from __future__ import annotations

import bisect

import numpy as np

from dspdet3d_ros.geometry import interpolate
from dspdet3d_ros.mapping.frame import FrameRefused

#: Two poses that are farther apart in time are not interpolated: the camera may have gone another way between them.
INTERPOLATED_S = 0.25


class Trajectory:
    """Poses of one camera, kept in the order of their stamps.

    Args:
        most: maximum number of poses; the oldest ones are forgotten.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._stamps: list[float] = []
        self._poses: list[np.ndarray] = []

    def __len__(self) -> int:
        """Number of poses."""
        return len(self._stamps)

    @property
    def last_stamp(self) -> float | None:
        """Stamp of the latest pose; None without poses."""
        return self._stamps[-1] if self._stamps else None

    def add(self, stamp_s: float, pose: np.ndarray) -> None:
        """Adds a (4, 4) pose; a second one with the same stamp replaces the first."""
        place = bisect.bisect_left(self._stamps, stamp_s)
        if place < len(self._stamps) and self._stamps[place] == stamp_s:
            self._poses[place] = pose
            return
        self._stamps.insert(place, stamp_s)
        self._poses.insert(place, pose)
        if self._most is not None and len(self._stamps) > self._most:
            del self._stamps[0], self._poses[0]

    def clear(self) -> None:
        """Forgets all poses."""
        self._stamps.clear()
        self._poses.clear()

    def at(self, stamp_s: float, tolerance_s: float) -> np.ndarray:
        """The pose at a stamp: between two poses it is interpolated, next to one the nearest is taken.

        Args:
            stamp_s: seconds.
            tolerance_s: maximum distance to the nearest pose, where there are no two to interpolate: with a gap of at
                most `INTERPOLATED_S`, or twice the tolerance.

        Raises:
            FrameRefused: kind "pose": no pose is near enough.
        """
        place = bisect.bisect_left(self._stamps, stamp_s)
        around = [k for k in (place - 1, place) if 0 <= k < len(self._stamps)]
        if len(around) == 2:
            before, after = around
            gap = self._stamps[after] - self._stamps[before]
            if gap <= max(INTERPOLATED_S, 2 * tolerance_s):
                share = (stamp_s - self._stamps[before]) / gap
                return interpolate(self._poses[before], self._poses[after], share)
        near = [k for k in around if abs(self._stamps[k] - stamp_s) <= tolerance_s]
        if not near:
            if not around:
                raise FrameRefused("pose", "pose: there are no poses; record or publish the poses of the camera")
            gap = min(abs(self._stamps[k] - stamp_s) for k in around)
            raise FrameRefused(
                "pose",
                f"pose: the nearest one is {gap:.3g} s away from the stamp of the image, expected at most "
                f"{tolerance_s:g} s, or two around it that are {INTERPOLATED_S:g} s apart; check that both use the "
                "same clock, and that poses come often enough",
            )
        return self._poses[min(near, key=lambda k: abs(self._stamps[k] - stamp_s))]
