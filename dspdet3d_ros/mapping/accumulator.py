"""Frames in, cloud out: checks each frame, corrects its pose, and keeps the map within its window."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.mapping.frame import FrameRefused, RGBDFrame, check_frame, rigid
from dspdet3d_ros.mapping.map_settings import MapSettings
from dspdet3d_ros.mapping.pixels import FramePoints, frame_points
from dspdet3d_ros.mapping.refine import align, bounded
from dspdet3d_ros.mapping.voxel_map import COLOUR, COLOUR_WEIGHT, VoxelMap

# So many frames in a row that are refused for their stamp or their jump show that stamps or poses have started again.
RESTART_FRAMES = 5
# Poses of frames that are farther apart in time than this are not compared.
_JUMP_WITHIN_S = 1.0
# The window is applied to all voxels once in so many frames. `cloud` applies it exactly.
_TRIM_EVERY = 16
# A map farther than this from the world's origin needs coordinates in double precision.
_FLOAT32_REACH_M = 1000.0


@dataclass(frozen=True)
class Inserted:
    """The result of one frame.

    Attributes:
        points: number of its pixels, after decimation, that were used.
        new_voxels: number of voxels that no earlier frame had measured.
        removed_voxels: number of voxels that it saw through.
        pose: (4, 4) the pose that was used, camera → world.
        correction_m: translation between this pose and the given one at the camera, metres.
        correction_deg: rotation between them, degrees.
        pairs: number of points that the alignment used; 0 without an alignment.
        restarted: why the map was emptied before this frame; empty if it was not.
    """

    points: int
    new_voxels: int
    removed_voxels: int
    pose: np.ndarray
    correction_m: float
    correction_deg: float
    pairs: int
    restarted: str = ""


class Accumulator:
    """Accumulates RGB-D frames into a map. Not thread-safe.

    A frame that cannot be used is refused by `FrameRefused`, counted by kind, and leaves the map as it was.

    Args:
        settings: may be replaced at any time; another voxel size empties the map.
        device: "cpu" or a CUDA device.
        video: whether frames follow each other, so that poses that jump are wrong and drift changes slowly; otherwise
            they are single views.

    Attributes:
        used: number of frames in the map since the last `reset`.
        refused: number of refused frames by kind (`frame.REFUSALS`) since the last `reset`.
    """

    def __init__(self, settings: MapSettings | None = None, device: str = "cpu", video: bool = True) -> None:
        self._settings, self.device, self._video = settings or MapSettings(), device, video
        self._origin: np.ndarray | None = None
        self._last_pose: np.ndarray | None = None
        self._last_stamp: float | None = None
        self._refused_pose: np.ndarray | None = None
        self.reset()

    @property
    def settings(self) -> MapSettings:
        """The present settings."""
        return self._settings

    @settings.setter
    def settings(self, new: MapSettings) -> None:
        old, self._settings = self._settings, new
        if new.voxel_size != old.voxel_size:
            self._empty()
        self._map.max_voxels = new.max_voxels
        if not new.refine:
            self._correction = np.eye(4)

    def __len__(self) -> int:
        """Number of voxels in memory, including those with too few observations."""
        return len(self._map)

    @property
    def memory_bytes(self) -> int:
        """Memory of the map."""
        return self._map.memory_bytes

    def reset(self) -> None:
        """Forgets all frames and counts from zero."""
        self.used, self.refused = 0, Counter[str]()
        self._empty()

    def insert(self, frame: RGBDFrame) -> Inserted:
        """Adds a frame to the map.

        Raises:
            FrameRefused: the frame cannot be used; the map is unchanged.
        """
        try:
            check_frame(frame)
            pose = rigid(frame.pose)
            restarted = self._follow(frame, pose)
        except FrameRefused as refusal:
            self.refused[refusal.kind] += 1
            raise
        if restarted:
            self._empty()
        if self._origin is None:
            # A multiple of the voxel size, so that voxels do not depend on where the map begins.
            self._origin = np.round(pose[:3, 3] / self._settings.voxel_size) * self._settings.voxel_size
        stamp_s = frame.stamp_s if frame.stamp_s is not None else 0.0
        points = frame_points(frame, self._settings, self.device)
        used, pairs = self._refined(points, pose)
        new, removed = self._fuse(points, used, stamp_s)
        self._last_pose, self._last_stamp = pose, frame.stamp_s
        self._refused_in_a_row = 0
        self._refused_pose = None
        self._frame += 1
        self.used += 1
        if self._frame % _TRIM_EVERY == 0:
            self._map.keep(self._inside_window())
        apart = np.linalg.inv(pose) @ used
        return Inserted(
            len(points.weights), new, removed, used, _length(apart), math.degrees(_angle(apart)), pairs, restarted
        )

    def cloud(self, min_observations: int | None = None) -> PointCloud:
        """One point per voxel of the window that enough frames measured, in the world frame.

        Args:
            min_observations: instead of that of the settings.

        Returns:
            Mean positions, and mean colours (black where no colour was seen); no colours if no frame had any.
        """
        least = self._settings.min_observations if min_observations is None else min_observations
        chosen = (self._inside_window() & (self._map.observations >= least)).nonzero()[:, 0]
        local = self._map.means(chosen)[0].T.cpu().numpy()
        origin = np.zeros(3) if self._origin is None else self._origin
        far = np.abs(origin).max() > _FLOAT32_REACH_M
        xyz = np.ascontiguousarray(local + origin, np.float64 if far else np.float32)
        sums = self._map.sums.index_select(0, chosen)
        weight = sums[:, COLOUR_WEIGHT]
        if not bool((weight > 0).any()):
            return PointCloud(xyz)
        rgb = sums[:, COLOUR] / weight.clamp(min=1e-12)[:, None]
        return PointCloud(xyz, rgb.round().clamp(0, 255).to(torch.uint8).cpu().numpy())

    def _empty(self) -> None:
        self._map = VoxelMap(self._settings.voxel_size, self._settings.max_voxels, self.device)
        self._frame = 0
        self._origin = self._last_pose = self._last_stamp = self._refused_pose = None
        self._correction = np.eye(4)
        self._refused_in_a_row = 0

    def _follow(self, frame: RGBDFrame, pose: np.ndarray) -> str:
        """Why the map must start again with this frame; empty if it need not.

        Raises:
            FrameRefused: the frame does not follow the last one.
        """
        back_s = (
            self._last_stamp - frame.stamp_s if self._last_stamp is not None and frame.stamp_s is not None else -1.0
        )
        if back_s >= 0:
            # One wrong stamp must not empty the map; a recording that starts again goes on with more.
            self._refused_in_a_row += 1
            if self._refused_in_a_row >= RESTART_FRAMES and back_s > 0:
                return f"the stamps of {self._refused_in_a_row} frames in a row went back by {back_s:.3g} s"
            older = f"{back_s * 1000:.3g} ms older than" if back_s else "the same as"
            text = f"stamp: {older} that of an earlier frame; send each frame once, in the order of the stamps"
            raise FrameRefused("stamp", text)
        if not self._video or self._last_pose is None or -back_s > _JUMP_WITHIN_S:
            return ""
        if not (text := self._jump(self._last_pose, pose)):
            return ""
        # After a real jump, such as a new localisation, the frames agree with each other.
        agrees = self._refused_pose is not None and not self._jump(self._refused_pose, pose)
        self._refused_in_a_row = self._refused_in_a_row + 1 if agrees else 1
        self._refused_pose = pose
        if self._refused_in_a_row >= RESTART_FRAMES:
            return f"the poses of {RESTART_FRAMES} frames in a row jumped to another place"
        raise FrameRefused("pose", f"pose: {text}; correct the localisation, or raise max_jump_m and max_jump_deg")

    def _jump(self, before: np.ndarray, pose: np.ndarray) -> str:
        step = np.linalg.inv(before) @ pose
        length, angle = _length(step), math.degrees(_angle(step))
        most_m, most_deg = self._settings.max_jump_m, self._settings.max_jump_deg
        if most_m and length > most_m:
            return f"jumped by {length:.3g} m since the last frame, expected at most {most_m:g} m"
        if most_deg and angle > most_deg:
            return f"turned by {angle:.3g} degrees since the last frame, expected at most {most_deg:g}"
        return ""

    def _refined(self, points: FramePoints, pose: np.ndarray) -> tuple[np.ndarray, int]:
        """The pose to use, camera → world, and the number of pairs of the alignment.

        The correction is a motion of the camera in its own frame. In a video the last one is the start.
        """
        if not self._settings.refine:
            return pose, 0
        if not self._video:
            self._correction = np.eye(4)
        aligned = align(points, self._to_map(pose @ self._correction), self._map)
        if aligned.pairs:
            correction = np.linalg.inv(self._to_map(pose)) @ aligned.pose
            most = math.radians(self._settings.max_correction_deg)
            self._correction = bounded(correction, self._settings.max_correction_m, most)
        return pose @ self._correction, aligned.pairs

    def _to_map(self, pose: np.ndarray) -> np.ndarray:
        local = pose.copy()
        local[:3, 3] -= self._origin
        return local

    def _fuse(self, points: FramePoints, pose: np.ndarray, stamp_s: float) -> tuple[int, int]:
        """The numbers of new and of removed voxels."""
        local = torch.as_tensor(self._to_map(pose), dtype=torch.float32, device=self.device)
        turn = local[:3, :3]
        sums = self._map.sum_points(
            turn @ points.xyz + local[:3, 3:], turn @ points.normals, points.weights, points.rgb, points.coloured
        )
        new = self._map.insert(sums, self._frame, stamp_s)
        if not self._settings.see_through_frames:
            return new, 0
        from_map = torch.linalg.inv(local)
        times = self._settings.see_through_frames
        return new, self._map.look_through(points.depth, points.camera, from_map, self._frame, times)

    def _inside_window(self) -> torch.Tensor:
        """(V,) bool of the map's voxels."""
        inside = torch.ones(len(self._map), dtype=torch.bool, device=self.device)
        settings = self._settings
        if settings.window_frames:
            inside &= self._map.last_frame >= self._frame - settings.window_frames
        if settings.window_s and self._last_stamp is not None:
            inside &= self._map.last_stamp >= self._last_stamp - settings.window_s
        if settings.window_m and self._last_pose is not None and len(self._map):
            place = torch.as_tensor(self._to_map(self._last_pose)[:3, 3:], dtype=torch.float32, device=self.device)
            inside &= ((self._map.points() - place) ** 2).sum(0) <= settings.window_m**2
        return inside


def _length(transform: np.ndarray) -> float:
    return float(np.linalg.norm(transform[:3, 3]))


def _angle(transform: np.ndarray) -> float:
    """Radians."""
    return math.acos(max(-1.0, min(1.0, (float(np.trace(transform[:3, :3])) - 1) / 2)))
