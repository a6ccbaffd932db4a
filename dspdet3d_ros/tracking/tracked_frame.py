"""Tracking that can be switched while it runs, in whatever frame the clouds come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.tracking.tracker import Tracker, track
from dspdet3d_ros.tracking.tracking_settings import TrackingSettings


class TrackedFrame:
    """The objects of one frame. Another frame, and switching tracking off, forgets them.

    Args:
        settings: gives the present settings; None while tracking is off. Asked once for each cloud.
    """

    def __init__(self, settings: Callable[[], TrackingSettings | None]) -> None:
        self._settings = settings
        self._tracker = Tracker()
        self._frame: str | None = None
        self._forget = False

    @property
    def known(self) -> frozenset[int]:
        """See `Tracker.known`."""
        return self._tracker.known

    def forget(self) -> None:
        """Forgets all objects before the next cloud; may be called from any thread."""
        self._forget = True

    def follow(self, frame: str) -> bool:
        """Gets ready for a cloud of a frame; whether its objects are tracked."""
        settings = self._settings()
        if self._forget or settings is None or frame != self._frame:
            self._forget = False
            self._tracker.reset()
        self._frame = frame
        if settings is not None:
            self._tracker.settings = settings
        return settings is not None

    def update(self, detections: Detections, xyz: np.ndarray) -> Detections:
        """The objects in the cloud, with their numbers; see `track`."""
        return track(self._tracker, detections, xyz)
