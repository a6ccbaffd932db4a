"""TUM RGB-D: lists of depth images, colour images and poses, each with stamps, which are associated."""

from __future__ import annotations

import bisect
import re
from functools import partial
from pathlib import Path

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.mapping.folders.folder import FrameFolder, FrameSource
from dspdet3d_ros.mapping.folders.text_files import camera, intrinsics_in, read_text, rows_of
from dspdet3d_ros.mapping.frame import FrameRefused, RGBDFrame, pose_from_quaternion
from dspdet3d_ros.mapping.images import in_metres, read_colour, read_depth
from dspdet3d_ros.mapping.trajectory import Trajectory

NAME = "TUM RGB-D"
POSES, DEPTH, COLOUR = "groundtruth.txt", "depth.txt", "rgb.txt"
_UNITS_PER_METRE = 5000
# The data set's tools associate within this time, seconds.
_TOLERANCE_S = 0.02
# Intrinsics that the data set names for its cameras, by a part of the folder's name, and its default.
_CAMERAS = {
    "freiburg1": (517.3, 516.5, 318.6, 255.3),
    "freiburg2": (520.9, 521.0, 325.1, 249.7),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
    "": (525.0, 525.0, 319.5, 239.5),
}


def is_layout(folder: Path) -> bool:
    """Whether the folder has the lists of depth images and poses."""
    return (folder / POSES).is_file() and (folder / DEPTH).is_file()


def read(folder: Path, intrinsics: tuple[float, float, float, float] | None) -> FrameFolder:
    """The frames; see `open_frames`."""
    notes = []
    intrinsics = intrinsics or intrinsics_in(folder)
    if intrinsics is None:
        camera_name = next(name for name in _CAMERAS if name in str(folder.resolve()).lower())
        intrinsics = _CAMERAS[camera_name]
        notes.append(f"without camera-intrinsics.txt the intrinsics of {camera_name or 'the data set'} are used")
    w_first = _w_first(folder / POSES)
    if w_first:
        notes.append(f"{POSES}: its header names qw before qx, so w is the first number of the quaternions")
    poses, unusable = _poses(folder / POSES, w_first)
    if unusable:
        notes.append(f"{folder / POSES}: {unusable} lines are no pose (stamp, x y z, unit quaternion x y z w)")
    colours = _list(folder / COLOUR) if (folder / COLOUR).is_file() else []
    stamps = [stamp for stamp, _ in colours]
    frames, without = [], 0
    for stamp, path in _list(folder / DEPTH):
        colour = _nearest(stamps, stamp)
        without += colour is None
        file_of = None if colour is None else folder / colours[colour][1]
        read_one = partial(_frame, folder / path, file_of, stamp, poses, intrinsics)
        frames.append(FrameSource(path, read_one))
    if without:
        notes.append(f"{without} depth images have no colour image within {_TOLERANCE_S} s")
    return FrameFolder(NAME, tuple(frames), notes=tuple(notes))


def _w_first(path: Path) -> bool:
    """Whether a comment names the columns of the quaternion with w first, as other programs write them."""
    words = [re.findall(r"q_?[wx]\b", line.lower()) for line in read_text(path).splitlines() if line.startswith("#")]
    return any(names and names[0].endswith("w") and len(names) > 1 for names in words)


def _poses(path: Path, w_first: bool) -> tuple[Trajectory, int]:
    """The poses, and the number of lines that are none."""
    trajectory, unusable = Trajectory(), 0
    for words in rows_of(path):
        try:
            stamp, *numbers = (float(word) for word in words[:8])
            if not np.isfinite(stamp) or len(numbers) != 7:
                raise ValueError
            quaternion = [*numbers[4:], numbers[3]] if w_first else numbers[3:]
            trajectory.add(stamp, pose_from_quaternion(numbers[:3], quaternion))
        except ValueError:
            # Also `FrameRefused`: a quaternion that is not unit.
            unusable += 1
    return trajectory, unusable


def _list(path: Path) -> list[tuple[float, str]]:
    """Stamps and files, in order."""
    try:
        return sorted((float(words[0]), " ".join(words[1:])) for words in rows_of(path) if len(words) > 1)
    except ValueError as error:
        raise InputError(f"{path}: expected lines of a stamp and a file name: {error}; copy it again") from error


def _nearest(stamps: list[float], stamp: float) -> int | None:
    place = bisect.bisect_left(stamps, stamp)
    near = [k for k in (place - 1, place) if 0 <= k < len(stamps) and abs(stamps[k] - stamp) <= _TOLERANCE_S]
    return min(near, key=lambda k: abs(stamps[k] - stamp), default=None)


def _frame(
    depth_file: Path,
    colour_file: Path | None,
    stamp: float,
    poses: Trajectory,
    intrinsics: tuple[float, float, float, float],
) -> RGBDFrame:
    try:
        pose = poses.at(stamp, _TOLERANCE_S)
    except FrameRefused as refusal:
        raise FrameRefused(refusal.kind, f"{depth_file}: {refusal}") from refusal
    depth = in_metres(read_depth(depth_file), _UNITS_PER_METRE)
    colour = None if colour_file is None else read_colour(colour_file)
    return RGBDFrame(depth, camera(intrinsics, depth), pose, colour, stamp)
