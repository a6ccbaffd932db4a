"""The layout of the Amazon Picking Challenge data: single views of a robot arm, calibration and poses in cam.info.txt.

Depth is registered to colour, so the intrinsics of the colour camera apply to both images.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.mapping.folders.folder import FrameFolder, FrameSource
from dspdet3d_ros.mapping.folders.text_files import camera, four, read_text
from dspdet3d_ros.mapping.frame import RGBDFrame
from dspdet3d_ros.mapping.images import in_metres, read_colour, read_depth

NAME = "APC"
INFO = "cam.info.txt"
_UNITS_PER_METRE = 10_000
# A depth is stored with its 16 bits rotated to the left by so many places.
_ROTATED = 3
_COLOUR_CAMERA = "color camera intrinsic"
_POSE = re.compile(r"camera-to-world.*frame-(\d+)", re.I)


def is_layout(folder: Path) -> bool:
    """Whether the folder has the file with the calibration."""
    return (folder / INFO).is_file()


def read(folder: Path, intrinsics: tuple[float, float, float, float] | None) -> FrameFolder:
    """The frames; see `open_frames`."""
    matrices = _matrices(folder / INFO)
    calibrated = next((m for title, m in matrices.items() if title.lower().startswith(_COLOUR_CAMERA)), None)
    if intrinsics is None:
        if calibrated is None or calibrated.shape != (3, 3):
            raise InputError(f"{folder / INFO}: has no 3 x 3 'Color camera intrinsic matrix'; copy the file again")
        intrinsics = four(calibrated)
    poses = {int(found[1]): m for title, m in matrices.items() if (found := _POSE.search(title))}
    frames = [
        FrameSource(f"frame-{number:06d}", partial(_frame, folder, number, poses[number], intrinsics))
        for number in sorted(poses)
    ]
    return FrameFolder(NAME, tuple(frames), video=False)


def _matrices(path: Path) -> dict[str, np.ndarray]:
    """The matrices by the comment above them."""
    found: dict[str, np.ndarray] = {}
    for block in re.split(r"^#", read_text(path), flags=re.M)[1:]:
        title, *lines = block.splitlines()
        try:
            rows = [[float(word) for word in line.split()] for line in lines if line.strip()]
            if rows:
                found[title.strip()] = np.array(rows)
        except ValueError as error:
            raise InputError(
                f"{path}: the matrix of '{title.strip()}' cannot be read: {error}; copy it again"
            ) from error
    return found


def _frame(folder: Path, number: int, pose: np.ndarray, intrinsics: tuple[float, float, float, float]) -> RGBDFrame:
    stored = read_depth(folder / f"frame-{number:06d}.depth.png")
    turned = ((stored >> _ROTATED) | (stored << (16 - _ROTATED))).astype(np.uint16)
    depth = in_metres(turned, _UNITS_PER_METRE)
    colour = next((path for path in sorted(folder.glob(f"frame-{number:06d}.color.*"))), None)
    return RGBDFrame(depth, camera(intrinsics, depth), pose, None if colour is None else read_colour(colour))
