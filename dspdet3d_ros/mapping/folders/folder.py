"""A folder of frames, and the choice of its layout."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.mapping.frame import RGBDFrame


@dataclass(frozen=True)
class FrameSource:
    """One frame that can be read.

    Attributes:
        name: of its depth image.
        read: reads it; raises `FrameRefused` if its files are missing or damaged.
    """

    name: str
    read: Callable[[], RGBDFrame]


@dataclass(frozen=True)
class FrameFolder:
    """The frames of a folder, in order.

    Attributes:
        layout: name of the layout.
        frames: the frames.
        video: whether they follow each other, so that a pose that jumps is wrong.
        notes: assumptions and gaps, one line each.
    """

    layout: str
    frames: tuple[FrameSource, ...]
    video: bool = True
    notes: tuple[str, ...] = ()


def open_frames(folder: str | Path, intrinsics: tuple[float, float, float, float] | None = None) -> FrameFolder:
    """The frames of a folder. The files in it decide on the layout.

    7-Scenes: frame-NNNNNN.depth.png (mm), .color.png or .jpg, .pose.txt (4×4); camera-intrinsics.txt (3×3) if it is not
        that of the data set.
    APC: cam.info.txt with intrinsics and poses; frame-NNNNNN.depth.png (0.1 mm, bits rotated), .color.png.
    TUM RGB-D: depth.txt, rgb.txt and groundtruth.txt; depth in 1/5000 m.
    ScanNet, exported: depth/, color/, pose/, intrinsic/; depth in mm.
    Open3D: a trajectory *.log, depth/ and image/, color/ or rgb/; depth in mm.

    Args:
        folder: the folder.
        intrinsics: fx fy cx cy of the depth camera, instead of those of the folder.

    Raises:
        InputError: the folder has none of these layouts, or its calibration or list of poses cannot be read.
    """
    # The readers need `FrameFolder`.
    from dspdet3d_ros.mapping.folders import apc, open3d, seven_scenes, tum
    from dspdet3d_ros.mapping.folders import scannet_frames as scannet

    folder = Path(folder)
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no such folder; name the folder that has the frames")
    for layout in (apc, tum, scannet, open3d, seven_scenes):
        if layout.is_layout(folder):
            found = layout.read(folder, intrinsics)
            if not found.frames:
                raise InputError(f"{folder}: has the files of {found.layout}, but no frame with a pose; copy it again")
            return found
    raise InputError(
        f"{folder}: is no folder of RGB-D frames; expected frame-*.pose.txt (7-Scenes), cam.info.txt (APC), "
        "groundtruth.txt with depth.txt (TUM RGB-D), depth/ with pose/ (ScanNet) or a *.log with depth/ (Open3D)"
    )
