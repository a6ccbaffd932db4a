"""Settings of the accumulated map."""

from __future__ import annotations

from dataclasses import dataclass

from dspdet3d_ros import defaults
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.validation import Range, check_fields

#: Allowed values, by field.
RANGES = {
    "voxel_size": Range(0.002, 0.2),
    "window_frames": Range(0, 2**31 - 1),
    "window_s": Range(0, 1e6),
    "window_m": Range(0, 1e6),
    "min_observations": Range(1, 1000),
    "min_distance": Range(0, 100),
    "max_distance": Range(0.1, 100),
    "depth_edge": Range(0.001, 1),
    "max_incidence_deg": Range(10, 90),
    "see_through_frames": Range(0, 1000),
    "max_voxels": Range(1000, 100_000_000),
    "max_correction_m": Range(0, 10),
    "max_correction_deg": Range(0, 20),
    "max_jump_m": Range(0, 1000),
    "max_jump_deg": Range(0, 180),
    "decimation": Range(1, 8),
}


#: One line for each field, for help texts and parameters. Lengths are metres.
DESCRIPTIONS = {
    "voxel_size": "edge of the voxels in metres; the cloud has one point per voxel",
    "window_frames": "a voxel leaves the map after so many frames in which it was not measured; 0: never",
    "window_s": "a voxel leaves the map so many seconds after it was measured last; 0: never",
    "window_m": "a voxel leaves the map if it is farther from the camera than this, in metres; 0: never",
    "min_observations": "a voxel is in the cloud if at least so many frames have measured it",
    "min_distance": "pixels with a smaller depth are not used, metres",
    "max_distance": "pixels with a larger depth are not used, metres",
    "depth_edge": "a pixel is not used if the depth of a neighbour differs by more than this share, unless a surface "
    "within max_incidence_deg explains it",
    "max_incidence_deg": "a pixel is not used if the angle between its ray and the normal of the surface is larger",
    "see_through_frames": "a voxel is removed if so many frames in a row measure a surface behind it; 0: never",
    "max_voxels": "maximum number of voxels in memory; those that were not measured for longest are dropped",
    "refine": "correct the poses: each frame is aligned with the map (point-to-plane)",
    "max_correction_m": "maximum translation of this correction in metres",
    "max_correction_deg": "maximum rotation of this correction in degrees",
    "max_jump_m": "a frame is refused if its camera is farther from that of the last frame, in metres; 0: never",
    "max_jump_deg": "a frame is refused if its camera is turned by more since the last frame, in degrees; 0: never",
    "decimation": "depth is averaged over blocks of so many x so many pixels",
}


@dataclass(frozen=True)
class MapSettings:
    """Settings of the fusion of frames. `DESCRIPTIONS` explains the fields, `RANGES` has their limits."""

    voxel_size: float = defaults.MAP_VOXEL_SIZE
    window_frames: int = 0
    window_s: float = 0.0
    window_m: float = 0.0
    min_observations: int = 3
    min_distance: float = 0.3
    max_distance: float = 3.5
    depth_edge: float = 0.02
    max_incidence_deg: float = 75.0
    see_through_frames: int = 3
    max_voxels: int = defaults.MAP_MAX_VOXELS
    refine: bool = True
    max_correction_m: float = 0.1
    max_correction_deg: float = 3.0
    max_jump_m: float = 0.5
    max_jump_deg: float = 45.0
    decimation: int = 2

    def __post_init__(self) -> None:
        check_fields(self, RANGES)
        if self.min_distance >= self.max_distance:
            raise InputError(
                f"min_distance: expected less than max_distance = {self.max_distance:g}, got {self.min_distance:g}"
            )
