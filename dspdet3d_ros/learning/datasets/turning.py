"""Boxes measured from points, and scenes turned about the vertical, whose boxes must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import box_around, turn
from dspdet3d_ros.learning.datasets.scene import LabelledScene, SceneSet

#: Fewest points of a labelled thing.
LEAST_POINTS = 12
#: Smallest edge of a measured box, metres: the points of a flat thing seen from above have no height.
LEAST_SIZE_M = 0.005


def visible_boxes(xyz: np.ndarray, inst: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of the visible extents: the first to the 99th percentile of each thing's points along each axis.

    Args:
        xyz: (N, 3).
        inst: (N,) k + 1 for thing k, 0 elsewhere.
        count: number of things.

    Returns:
        (count, 6) centre and size, and (count,) number of points; boxes of things without points are zero.
    """
    boxes, numbers = np.zeros((count, 6), np.float32), np.bincount(inst, minlength=count + 1)[1:]
    rows = np.flatnonzero(inst)
    rows = rows[np.argsort(inst[rows], kind="stable")]
    for k, part in enumerate(np.split(xyz[rows], np.cumsum(numbers)[:-1])):
        if len(part):
            boxes[k] = box_around(part, left_out=1)
            boxes[k, 3:] = np.maximum(boxes[k, 3:], LEAST_SIZE_M)
    return boxes, numbers


def measured(xyz: np.ndarray, inst: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The things that can be seen well enough to be labelled: those of at least `LEAST_POINTS` points.

    Args:
        xyz, inst, count: as for `visible_boxes`.

    Returns:
        (S, 6) boxes of these, (count,) which of the things they are, and (N,) int32 the points' numbers among them.
    """
    boxes, numbers = visible_boxes(xyz, inst, count)
    seen = numbers >= LEAST_POINTS
    number = np.concatenate([[0], np.where(seen, np.cumsum(seen), 0)]).astype(np.int32)
    return boxes[seen], seen, number[inst]


def turned(scene: LabelledScene, degrees: float) -> LabelledScene:
    """The scene turned about z, its boxes measured anew from their points, at 0 degrees too.

    Things of fewer than `LEAST_POINTS` points are no longer labelled.

    Raises:
        InputError: the scene does not say which points belong to which box.
    """
    if scene.inst is None:
        raise InputError(
            f"scene {scene.name}: cannot be turned: it does not say which points belong to which box; add 'inst' to it"
        )
    xyz = scene.xyz @ turn("z", np.deg2rad(degrees)).T
    boxes, seen, inst = measured(xyz, scene.inst, len(scene.boxes))
    names = tuple(name for name, kept in zip(scene.names, seen, strict=True) if kept)
    return replace(scene, xyz=xyz, boxes=boxes, names=names, inst=inst)


def turned_set(scenes: SceneSet, degrees: float) -> SceneSet:
    """All scenes turned; see `turned`."""
    return replace(scenes, readers=tuple(partial(_read_turned, read, degrees) for read in scenes.readers))


def _read_turned(read: Callable[[], LabelledScene], degrees: float) -> LabelledScene:
    return turned(read(), degrees)
