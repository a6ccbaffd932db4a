"""Training scenes and the crops that are taken of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from dspdet3d_ros.detector.points import training_origin
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.generation.files import load_scene
from dspdet3d_ros.training.config import TrainingConfig
from dspdet3d_ros.training.objective import LabelledPoints

#: Of a thing that a crop cuts, at least this part must be inside for it to be labelled; otherwise its points go too.
LEAST_INSIDE = 0.6
#: Fewest points of a labelled thing.
LEAST_POINTS = 12


@dataclass(frozen=True)
class TrainingScene:
    """A labelled cloud, compact, as it lies in memory.

    Attributes:
        xyz: (N, 3) float32 metres.
        inst: (N,) int32, k + 1 for the points of box k, 0 elsewhere; None where the source does not say.
        boxes: (K, 6) float32.
        labels: (K,) int64 class indices.
    """

    xyz: np.ndarray
    inst: np.ndarray | None
    boxes: np.ndarray
    labels: np.ndarray


def scene_files(folder: Path) -> list[Path]:
    """The scene files of a folder, sorted.

    Raises:
        InputError: there are none.
    """
    files = sorted(Path(folder).glob("*.npz"))
    if not files:
        raise InputError(f"{folder}: expected a folder with .npz scenes; make them with `dspdet3d generate {folder}`")
    return files


def read_training_scene(path: Path, classes: Sequence[str]) -> TrainingScene:
    """A generated scene with its class names as indices.

    Raises:
        InputError: the file cannot be read or names a class that the model does not know.
    """
    scene = load_scene(path)
    index = {name: i for i, name in enumerate(classes)}
    unknown = sorted(set(scene.names) - set(index))
    if unknown:
        raise InputError(f"{path}: class {unknown[0]!r} is not among the model's {len(index)} classes")
    labels = np.array([index[name] for name in scene.names], np.int64)
    return TrainingScene(scene.xyz, scene.inst.astype(np.int32), scene.boxes, labels)


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
            low, high = np.percentile(part, (1, 99), axis=0)
            boxes[k] = [*(low + high) / 2, *np.maximum(high - low, 0.005)]
    return boxes, numbers


class CropDataset(Dataset):
    """Batch i of a training run: a pure function of the seed and i, so that a resumed run goes on exactly.

    Args:
        scenes: what is trained on.
        config: crop size, augmentation, batch size.
        seed: seed of all choices.
        rank: of several processes that train one network, which this is: each has batches of its own.

    Raises:
        InputError: no scene has a labelled thing.
    """

    def __init__(self, scenes: Sequence[TrainingScene], config: TrainingConfig, seed: int, rank: int = 0) -> None:
        self._scenes = scenes
        self._config = config
        self._seed = seed
        self._rank = rank
        # Every labelled thing is to be seen equally often: a room of twenty oftener than a table of two.
        things = np.array([len(scene.boxes) for scene in scenes], np.float64)
        if not things.sum():
            raise InputError("training scenes: expected at least one labelled thing, found none")
        self._chance = things / things.sum()

    def __len__(self) -> int:
        return self._config.iterations

    def __getitem__(self, iteration: int) -> list[LabelledPoints]:
        rng = np.random.default_rng([self._seed, iteration, self._rank])
        return [self._sample(rng) for _ in range(self._config.batch_size)]

    def _sample(self, rng: np.random.Generator) -> LabelledPoints:
        while True:
            scene = augment(self._scenes[rng.choice(len(self._scenes), p=self._chance)], self._config, rng)
            if len(scene.boxes):
                origin = training_origin(scene.xyz) + rng.normal(0, 0.1, 3)
                xyz = (scene.xyz - origin).astype(np.float32)
                boxes = scene.boxes - np.concatenate([origin, np.zeros(3)]).astype(np.float32)
                return LabelledPoints(*(torch.from_numpy(part) for part in (xyz, boxes, scene.labels)))


def augment(scene: TrainingScene, config: TrainingConfig, rng: np.random.Generator) -> TrainingScene:
    """A random crop, turned, mirrored, scaled and thinned: as published, but with any turn where possible."""
    if config.crop_size:
        scene = crop(scene, config.crop_size, rng)
    matrix = np.diag([*rng.choice([-1.0, 1.0], 2), 1.0]) * rng.uniform(0.9, 1.1)
    mirrored = TrainingScene(scene.xyz @ matrix.T, scene.inst, _mapped(scene.boxes, matrix), scene.labels)
    return thin(turn(mirrored, config.yaw, rng), config.points_per_scene, rng)


def crop(scene: TrainingScene, size: float, rng: np.random.Generator) -> TrainingScene:
    """A disc in plan of the given diameter (metres) about some thing; a disc, so that a turn cannot cut it."""
    if not len(scene.boxes):
        return scene
    center = scene.boxes[rng.integers(len(scene.boxes)), :2] + rng.uniform(-0.3, 0.3, 2) * size
    inside = np.hypot(*(scene.xyz[:, :2] - center).T) <= size / 2
    count = len(scene.boxes)
    if scene.inst is None:
        fits = np.hypot(*(scene.boxes[:, :2] - center).T) <= size / 2
        return TrainingScene(scene.xyz[inside], None, scene.boxes[fits], scene.labels[fits])
    before = np.bincount(scene.inst, minlength=count + 1)[1:]
    after = np.bincount(scene.inst[inside], minlength=count + 1)[1:]
    # What is not labelled because the crop cuts it must not be taught as background either.
    cut = np.concatenate([[False], (after > 0) & (after < LEAST_INSIDE * before)])
    keep = inside & ~cut[scene.inst]
    return _relabel(scene.xyz[keep], scene.inst[keep], scene)


def turn(scene: TrainingScene, yaw: float, rng: np.random.Generator) -> TrainingScene:
    """A turn about the vertical; the boxes are measured anew where the points say which thing they belong to."""
    angle = rng.uniform(-yaw, yaw) if scene.inst is not None else rng.uniform(-1, 1) * min(yaw, 0.02)
    c, s = np.cos(angle), np.sin(angle)
    xyz = scene.xyz @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
    if scene.inst is None:
        center = scene.boxes[:, :3] @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
        return TrainingScene(xyz, None, np.concatenate([center, scene.boxes[:, 3:]], 1), scene.labels)
    return _relabel(xyz, scene.inst, scene)


def thin(scene: TrainingScene, points: int, rng: np.random.Generator) -> TrainingScene:
    """At most `points` random points, in random order, since a voxel keeps its first."""
    rows = rng.permutation(len(scene.xyz))[:points]
    xyz = scene.xyz[rows].astype(np.float32)
    inst = None if scene.inst is None else scene.inst[rows]
    return TrainingScene(xyz, inst, scene.boxes.astype(np.float32), scene.labels)


def _mapped(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :3] @ matrix.T, boxes[:, 3:] @ np.abs(matrix).T], 1)


def _relabel(xyz: np.ndarray, inst: np.ndarray, scene: TrainingScene) -> TrainingScene:
    boxes, numbers = visible_boxes(xyz, inst, len(scene.boxes))
    seen = numbers >= LEAST_POINTS
    number = np.concatenate([[0], np.where(seen, np.cumsum(seen), 0)]).astype(np.int32)
    return TrainingScene(xyz, number[inst], boxes[seen], scene.labels[seen])
