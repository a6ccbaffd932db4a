"""Settings of a replay."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dspdet3d_ros.mapping.frame import pose_from_quaternion
from dspdet3d_ros.mapping.map_settings import MapSettings
from dspdet3d_ros.tracking.tracking_settings import TrackingSettings


@dataclass(frozen=True)
class ReplaySettings:
    """Settings of a replay.

    Attributes:
        map: of the map of depth images.
        topics: inputs; empty: chosen by types and names.
        world: frame of the map, or to which clouds are brought; empty: the frame of the poses, or the clouds' own.
        period_s: objects are detected in the map once in so many seconds of recorded time.
        tolerance_s: largest difference between the stamps of depth and colour images.
        units_per_metre: of depth images of 16-bit integers.
        camera_mount: pose of the optical frame in the frame whose odometry or pose is recorded: translation in metres
            and unit quaternion, x y z qx qy qz qw; empty: by tf.
        use_colour: whether colour images are read.
        tracking: None leaves objects without identity.
        storage: format of the bag of results.
        resume: use what an earlier run has computed.
    """

    map: MapSettings = field(default_factory=MapSettings)
    topics: tuple[str, ...] = ()
    world: str = ""
    period_s: float = 1.0
    tolerance_s: float = 0.02
    units_per_metre: float = 1000.0
    camera_mount: tuple[float, ...] = ()
    use_colour: bool = True
    tracking: TrackingSettings | None = field(default_factory=TrackingSettings)
    storage: str = "mcap"
    resume: bool = False

    @property
    def mount(self) -> np.ndarray | None:
        """(4, 4) matrix of `camera_mount`; None if it is empty.

        Raises:
            InputError: it is no pose.
        """
        mount = self.camera_mount
        return pose_from_quaternion(mount[:3], mount[3:], "camera_mount") if mount else None
