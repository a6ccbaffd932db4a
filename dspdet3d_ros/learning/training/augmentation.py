"""Random changes of a training scene: crops, turns, mirroring, scaling, thinning."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.datasets.label_boxes import (
    cut_boxes,
    fit_boxes,
    labelled_objects,
    mapped_boxes,
    mapped_regions,
    points_of_objects,
)
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.training.degradation import degraded
from dspdet3d_ros.learning.training.training_config import TrainingConfig

#: Of an object that a crop cuts, at least this part must be inside for it to be labelled; otherwise its points go too.
LEAST_INSIDE = 0.6
#: The smallest and the largest scale of most crops.
_SCALE = (0.9, 1.1)
#: The largest turn of a scene that does not say which points belong to which box, radians.
_LARGEST_BLIND_TURN = 0.02


@dataclass(frozen=True)
class Focus:
    """The subject of a crop: a point, or else an object.

    Attributes:
        index: of the object; chosen by chance if not given.
        point: (3,) metres, in the scene.
    """

    index: int | None = None
    point: np.ndarray | None = None


def augment(
    scene: LabelledScene,
    config: TrainingConfig,
    rng: np.random.Generator,
    crop_size: float,
    focus: Focus = Focus(),
) -> LabelledScene:
    """A random crop, turned, mirrored, scaled, degraded and thinned: as published, but with any turn where possible.

    Args:
        scene: stays as it is.
        config: has the largest turn, the scales, the part that is degraded and the number of points.
        rng: source of chance.
        crop_size: diameter of the crop after scaling, metres; 0 takes the whole scene.
        focus: what the crop is about.
    """
    wide = rng.random() < config.wide_scale_fraction
    low, high = config.wide_scale if wide else _SCALE
    scale = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if crop_size:
        scene = crop(scene, crop_size / scale, rng, focus)
    mirror = np.diag([*rng.choice([-1.0, 1.0], 2), 1.0]) * scale
    largest = config.yaw if scene.inst is not None else min(config.yaw, _LARGEST_BLIND_TURN)
    scene = mapped(scene, rotate("z", rng.uniform(-largest, largest)) @ mirror)
    if config.degraded_fraction and rng.random() < config.degraded_fraction:
        scene = degraded(scene, rng, config.degraded_scale)
    return thin(scene, config.points_per_scene, rng)


def crop(scene: LabelledScene, size: float, rng: np.random.Generator, focus: Focus = Focus()) -> LabelledScene:
    """A disc in plan of the given diameter (metres) about its focus; a disc, so that a turn cannot cut it."""
    if focus.point is not None:
        center = focus.point[:2]
    elif len(scene.boxes):
        index = int(rng.integers(len(scene.boxes))) if focus.index is None else focus.index
        center = scene.boxes[index, :2] + rng.uniform(-0.3, 0.3, 2) * size
    else:
        return scene
    rows = _near(scene.xyz, center, size / 2)
    count = len(scene.boxes)
    if scene.inst is None:
        fits = np.isin(np.arange(count), _near(scene.boxes, center, size / 2))
        return replace(scene.with_objects(fits), xyz=scene.xyz[rows])
    before = points_of_objects(scene.inst, count)
    after = points_of_objects(scene.inst[rows], count)
    # What is not labelled because the crop cuts it must not be taught as background either.
    dropped = (after > 0) & (after < LEAST_INSIDE * before)
    rows = rows[~np.concatenate([[False], dropped])[scene.inst[rows]]]
    xyz, inst = scene.xyz[rows], scene.inst[rows]
    if not scene.exact:
        return _labelled(replace(scene, xyz=xyz, inst=inst, boxes=fit_boxes(xyz, inst, count)))
    cut = after < before
    boxes = np.where(cut[:, None], cut_boxes(scene.boxes, fit_boxes(xyz, inst, count)), scene.boxes)
    extents = None if scene.extents is None else np.where(cut[:, None, None], np.float32(np.nan), scene.extents)
    return _labelled(replace(scene, xyz=xyz, inst=inst, boxes=boxes, extents=extents))


def _near(places: np.ndarray, center: np.ndarray, distance: float) -> np.ndarray:
    """(M,) rows of the places, whose first columns are x and y, that are at most so far from a centre in plan."""
    x, y = places[:, 0] - center[0], places[:, 1] - center[1]
    # Of a large scene few points are left for the exact distance, which takes longer.
    rows = np.flatnonzero(x * x + y * y <= 1.01 * distance * distance)
    return rows[np.hypot(*(places[rows, :2] - center).T) <= distance]


def mapped(scene: LabelledScene, matrix: np.ndarray) -> LabelledScene:
    """The scene after a linear map.

    Exact boxes and regions move with it, other boxes are fitted to the points again. Where the source does not say
    which points belong to which box, boxes keep their size but for the scale, which is right for small turns only.

    Args:
        scene: stays as it is.
        matrix: (3, 3), see `datasets.label_boxes.mapped_boxes`.
    """
    xyz, ignore = scene.xyz @ matrix.T.astype(scene.xyz.dtype), mapped_regions(scene.ignore, matrix)
    if scene.inst is None:
        boxes = np.concatenate([scene.boxes[:, :3] @ matrix.T, scene.boxes[:, 3:] * matrix[2, 2]], 1)
        return replace(scene, xyz=xyz, boxes=boxes, ignore=ignore)
    if scene.exact:
        boxes = mapped_boxes(scene.boxes, matrix, scene.extents, (scene.xyz, xyz, scene.inst))
    else:
        boxes = fit_boxes(xyz, scene.inst, len(scene.boxes))
    return _labelled(replace(scene, xyz=xyz, boxes=boxes, extents=None, ignore=ignore))


def thin(scene: LabelledScene, points: int, rng: np.random.Generator) -> LabelledScene:
    """At most `points` random points, in random order, since a voxel keeps its first."""
    rows = rng.permutation(len(scene.xyz))[:points]
    xyz = scene.xyz[rows].astype(np.float32)
    inst = None if scene.inst is None else scene.inst[rows]
    return replace(scene, xyz=xyz, inst=inst, boxes=scene.boxes.astype(np.float32))


def _labelled(scene: LabelledScene) -> LabelledScene:
    """The scene with only those objects that have enough points to be labelled."""
    if scene.inst is None:
        return scene
    seen, inst = labelled_objects(scene.inst, len(scene.boxes))
    return replace(scene.with_objects(seen), inst=inst)
