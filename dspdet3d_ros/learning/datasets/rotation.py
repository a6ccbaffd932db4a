"""Labelled scenes turned about the vertical."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.datasets.label_boxes import fit_boxes, labelled_objects, mapped_boxes, mapped_regions
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene, SceneSet


def rotated(scene: LabelledScene, degrees: float) -> LabelledScene:
    """The scene turned about z, with boxes that are parallel to the axes again.

    Exact boxes are turned with it; at 0 degrees they stay as they are. Others are fitted to the turned points, at 0
    degrees too. Objects with fewer than `LEAST_POINTS` points are no longer labelled.

    Raises:
        InputError: the scene does not say which points belong to which box.
    """
    if scene.inst is None:
        raise InputError(
            f"scene {scene.name}: cannot be turned: it does not say which points belong to which box; add 'inst' to it"
        )
    matrix = rotate("z", np.deg2rad(degrees))
    xyz = scene.xyz @ matrix.T
    if scene.exact:
        boxes = mapped_boxes(scene.boxes, matrix, scene.extents, (scene.xyz, xyz, scene.inst))
    else:
        boxes = fit_boxes(xyz, scene.inst, len(scene.boxes))
    seen, inst = labelled_objects(scene.inst, len(scene.boxes))
    full = None if scene.full_boxes is None else mapped_regions(scene.full_boxes[seen], matrix)
    names = tuple(name for name, kept in zip(scene.names, seen, strict=True) if kept)
    return replace(
        scene,
        xyz=xyz,
        boxes=boxes[seen],
        names=names,
        inst=inst,
        extents=None,
        full_boxes=full,
        ignore=mapped_regions(scene.ignore, matrix),
    )


def rotated_set(scenes: SceneSet, degrees: float) -> SceneSet:
    """All scenes turned; see `rotated`."""
    return replace(scenes, readers=tuple(partial(_read_rotated, read, degrees) for read in scenes.readers))


def _read_rotated(read: Callable[[], LabelledScene], degrees: float) -> LabelledScene:
    return rotated(read(), degrees)
