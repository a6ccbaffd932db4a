"""7-Scenes: a depth image, a colour image and a pose file per frame."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dspdet3d_ros.mapping.folders.folder import FrameFolder, FrameSource
from dspdet3d_ros.mapping.folders.text_files import camera, intrinsics_in, pose
from dspdet3d_ros.mapping.frame import RGBDFrame
from dspdet3d_ros.mapping.images import in_metres, read_colour, read_depth

NAME = "7-Scenes"
# The data set names these numbers for all scenes.
INTRINSICS = (585.0, 585.0, 320.0, 240.0)


def is_layout(folder: Path) -> bool:
    """Whether the folder has pose files."""
    return next(folder.glob("frame-*.pose.txt"), None) is not None


def read(folder: Path, intrinsics: tuple[float, float, float, float] | None) -> FrameFolder:
    """The frames; see `open_frames`."""
    notes = []
    intrinsics = intrinsics or intrinsics_in(folder)
    if intrinsics is None:
        notes.append(f"without camera-intrinsics.txt the intrinsics of 7-Scenes are used: {INTRINSICS}")
    stems = sorted(path.name.removesuffix(".depth.png") for path in folder.glob("frame-*.depth.png"))
    frames = [FrameSource(stem, partial(_frame, folder, stem, intrinsics or INTRINSICS)) for stem in stems]
    return FrameFolder(NAME, tuple(frames), notes=tuple(notes))


def _frame(folder: Path, stem: str, intrinsics: tuple[float, float, float, float]) -> RGBDFrame:
    depth = in_metres(read_depth(folder / f"{stem}.depth.png"))
    colour = next((path for path in sorted(folder.glob(f"{stem}.color.*"))), None)
    return RGBDFrame(
        depth,
        camera(intrinsics, depth),
        pose(folder / f"{stem}.pose.txt"),
        None if colour is None else read_colour(colour),
    )
