"""Folders as Open3D's reconstruction reads them: depth and colour images, and a trajectory in a .log file."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np

from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.mapping.folders.folder import FrameFolder, FrameSource
from dspdet3d_ros.mapping.folders.text_files import camera, four, intrinsics_in, numbered, read_text, rows_of
from dspdet3d_ros.mapping.frame import RGBDFrame
from dspdet3d_ros.mapping.images import in_metres, read_colour, read_depth

NAME = "Open3D"
_COLOURS = ("image", "color", "rgb", "colour")
_JSON_NAMES = ("intrinsic.json", "camera_intrinsic.json", "intrinsics.json", "camera.json")
# Open3D's default, that of a PrimeSense camera.
INTRINSICS = (525.0, 525.0, 319.5, 239.5)


def is_layout(folder: Path) -> bool:
    """Whether the folder has depth images and a trajectory."""
    return (folder / "depth").is_dir() and next(folder.glob("*.log"), None) is not None


def read(folder: Path, intrinsics: tuple[float, float, float, float] | None) -> FrameFolder:
    """The frames; see `open_frames`."""
    logs = sorted(folder.glob("*.log"))
    if len(logs) > 1:
        raise InputError(f"{folder}: has {len(logs)} trajectories (*.log); leave only the one to use")
    notes = []
    intrinsics = intrinsics or _intrinsics(folder)
    if intrinsics is None:
        notes.append(f"without {_JSON_NAMES[0]} the default intrinsics of Open3D are used: {INTRINSICS}")
    depths = list(numbered(folder / "depth", (".png",)).values())
    colours: list[Path] = []
    for name in _COLOURS:
        colours = colours or list(numbered(folder / name, (".jpg", ".jpeg", ".png")).values())
    numbers, poses = _trajectory(logs[0])
    if numbers == sorted(set(numbers)) and numbers[0] >= 0 and numbers[-1] < len(depths):
        # The numbers say which images have a pose: where the tracking was lost, some have none.
        images = numbers
        if len(poses) != len(depths):
            notes.append(f"{logs[0].name} has no pose for {len(depths) - len(poses)} of {len(depths)} depth images")
    else:
        images = list(range(min(len(poses), len(depths))))
        if len(poses) != len(depths):
            notes.append(
                f"{logs[0].name} has {len(poses)} poses and depth/ has {len(depths)} images, and the numbers in it are "
                f"not those of images; the first {len(images)} of both are used"
            )
    if len(colours) != len(depths):
        if colours:
            notes.append(f"there are {len(colours)} colour images and {len(depths)} depth images; no colour is used")
        colours = []
    frames = [
        FrameSource(
            depths[k].name,
            partial(_frame, depths[k], colours[k] if colours else None, pose, intrinsics or INTRINSICS),
        )
        for k, pose in zip(images, poses, strict=False)
    ]
    return FrameFolder(NAME, tuple(frames), notes=tuple(notes))


def _intrinsics(folder: Path) -> tuple[float, float, float, float] | None:
    if (own := intrinsics_in(folder)) is not None:
        return own
    path = next((folder / name for name in _JSON_NAMES if (folder / name).is_file()), None)
    if path is None:
        return None
    try:
        # Column by column.
        numbers = np.array(json.loads(read_text(path))["intrinsic_matrix"], float).reshape(3, 3).T
    except Exception as error:
        raise InputError(
            f"{path}: expected 'intrinsic_matrix' with nine numbers: {text_of(error)}; write it as Open3D does"
        ) from error
    return four(numbers)


def _trajectory(path: Path) -> tuple[list[int], list[np.ndarray]]:
    """Numbers of images from 0 (-1 where there is none), and (4, 4) poses, camera → world.

    Each pose has a line of three integers, of which the first is the number, and four lines of four numbers.
    """
    rows = rows_of(path)
    numbers, poses = [], []
    for start in range(0, len(rows) - 4, 5):
        try:
            pose = np.array([[float(word) for word in row] for row in rows[start + 1 : start + 5]])
        except ValueError:
            pose = np.zeros(0)
        if pose.shape != (4, 4):
            raise InputError(f"{path}: pose {start // 5} has no four lines of four numbers; copy it again")
        numbers.append(int(rows[start][0]) if rows[start][0].isdecimal() else -1)
        poses.append(pose)
    if not poses:
        raise InputError(f"{path}: has no pose; copy it again")
    return numbers, poses


def _frame(
    depth_file: Path,
    colour_file: Path | None,
    pose: np.ndarray,
    intrinsics: tuple[float, float, float, float],
) -> RGBDFrame:
    depth = in_metres(read_depth(depth_file))
    colour = None if colour_file is None else read_colour(colour_file)
    return RGBDFrame(depth, camera(intrinsics, depth), pose, colour)
