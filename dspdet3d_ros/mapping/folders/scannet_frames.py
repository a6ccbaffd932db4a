"""ScanNet, exported from its .sens files: folders color, depth, pose and intrinsic."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.mapping.folders.folder import FrameFolder, FrameSource
from dspdet3d_ros.mapping.folders.text_files import camera, four, matrix, numbered, pose
from dspdet3d_ros.mapping.frame import Camera, RGBDFrame
from dspdet3d_ros.mapping.images import in_metres, read_colour, read_depth

NAME = "ScanNet"


def is_layout(folder: Path) -> bool:
    """Whether the folder has folders of depth images and poses."""
    return (folder / "depth").is_dir() and (folder / "pose").is_dir()


def read(folder: Path, intrinsics: tuple[float, float, float, float] | None) -> FrameFolder:
    """The frames; see `open_frames`."""
    depth_file, colour_file = (folder / "intrinsic" / f"intrinsic_{of}.txt" for of in ("depth", "color"))
    if intrinsics is None:
        if not depth_file.is_file():
            raise InputError(f"{depth_file}: no such file; export the intrinsics too, or name them: --intrinsics")
        intrinsics = four(matrix(depth_file, 4, 4))
    colour_intrinsics = four(matrix(colour_file, 4, 4)) if colour_file.is_file() else None
    moved = _colour_from_depth(folder / "intrinsic")
    depths, poses = numbered(folder / "depth", (".png",)), numbered(folder / "pose", (".txt",))
    colours = numbered(folder / "color", (".jpg", ".jpeg", ".png"))
    notes = [
        f"{len(missing)} depth images have no {what} of their number, such as {depths[missing[0]].name}"
        for what, files in (("pose", poses), ("colour image", colours))
        if (missing := [number for number in depths if number not in files])
    ]
    frames = [
        FrameSource(
            path.name,
            partial(_frame, path, colours.get(number), poses[number], intrinsics, colour_intrinsics, moved),
        )
        for number, path in depths.items()
        if number in poses
    ]
    return FrameFolder(NAME, tuple(frames), notes=tuple(notes))


def _colour_from_depth(folder: Path) -> np.ndarray | None:
    """Depth camera → colour camera; None if they are the same."""
    depth, colour = (
        matrix(path, 4, 4) if (path := folder / f"extrinsic_{of}.txt").is_file() else np.eye(4)
        for of in ("depth", "color")
    )
    try:
        moved = np.linalg.inv(colour) @ depth
    except np.linalg.LinAlgError:
        raise InputError(f"{folder}: the extrinsics are no rigid transforms; export them again") from None
    return None if np.allclose(moved, np.eye(4), atol=1e-6) else moved


def _frame(
    depth_file: Path,
    colour_file: Path | None,
    pose_file: Path,
    intrinsics: tuple[float, float, float, float],
    colour_intrinsics: tuple[float, float, float, float] | None,
    moved: np.ndarray | None,
) -> RGBDFrame:
    depth = in_metres(read_depth(depth_file))
    colour = None if colour_file is None else read_colour(colour_file)
    colour_camera = None
    if colour is not None and colour_intrinsics is not None:
        colour_camera = Camera(colour.shape[1], colour.shape[0], *colour_intrinsics)
    return RGBDFrame(
        depth,
        camera(intrinsics, depth),
        pose(pose_file),
        colour,
        colour_camera=colour_camera,
        colour_from_depth=None if colour is None else moved,
    )
