"""Training scenes and the crops that are taken of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset

from dspdet3d_ros import geometry
from dspdet3d_ros.detector.preprocess import training_origin
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.scene import ANY_CLASS, LabelledScene
from dspdet3d_ros.learning.datasets.turning import LEAST_POINTS, measured
from dspdet3d_ros.learning.training.config import TrainingConfig
from dspdet3d_ros.learning.training.objective import LabelledPoints

#: Of a thing that a crop cuts, at least this part must be inside for it to be labelled; otherwise its points go too.
LEAST_INSIDE = 0.6
#: Crops that are looked at for one with a labelled thing, before the scenes are refused.
MOST_CROPS = 100


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


def training_scene(scene: LabelledScene, classes: Sequence[str]) -> TrainingScene:
    """A labelled scene with its class names as indices; a model whose one class is "object" learns them all as that.

    Raises:
        InputError: the scene names a class that the model does not know.
    """
    index = {name: i for i, name in enumerate(classes)}
    names = [ANY_CLASS] * len(scene.names) if tuple(classes) == (ANY_CLASS,) else scene.names
    unknown = sorted(set(names) - set(index))
    if unknown:
        raise InputError(
            f"scene {scene.name}: class {unknown[0]!r} is not among the model's {len(index)} classes; add it there"
        )
    labels = np.array([index[name] for name in names], np.int64)
    return TrainingScene(scene.xyz, scene.inst, scene.boxes, labels)


class CropDataset(Dataset):
    """Batch i of a training run: a pure function of the seed and i, so that a resumed run goes on exactly.

    Args:
        scenes: what is trained on.
        config: crop size, augmentation, batch size.
        seed: seed of all choices.
        recenter: whether the detector is to move clouds to `training_origin`; if so crops are moved there, else they
            stay where they are in their scene. Both are then shifted a little by chance.
        rank, processes: of how many processes that train one network this is which; each has batches of its own.

    Raises:
        InputError: no scene has a labelled thing.
    """

    def __init__(
        self,
        scenes: Sequence[TrainingScene],
        config: TrainingConfig,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        *,
        recenter: bool,
    ) -> None:
        self._scenes = scenes
        self._config = config
        self._seed = seed
        self._recenter = recenter
        self._rank, self._processes = rank, processes
        things = np.array([len(scene.boxes) for scene in scenes], np.float64)
        if not things.sum():
            raise InputError(
                "training scenes: expected at least one labelled thing, found none; label some, or generate scenes"
            )
        self._chance = things / things.sum()
        self._members = _by_class(scenes)

    def __len__(self) -> int:
        return self._config.iterations

    def __getitem__(self, iteration: int) -> list[LabelledPoints]:
        rng = np.random.default_rng([self._seed, iteration, self._rank])
        size = self._config.batch_size
        first = (iteration * self._processes + self._rank) * size
        return [self._sample(number, rng) for number in range(first, first + size)]

    def _choose(self, number: int, rng: np.random.Generator) -> tuple[TrainingScene, int | None]:
        """The scene that is the run's sample of this number, and the thing that it is about, if any."""
        count = len(self._scenes)
        if self._config.sampling == "classes":
            scene, thing = rng.choice(self._members[rng.integers(len(self._members))])
            return self._scenes[scene], int(thing)
        if self._config.sampling == "things":
            return self._scenes[rng.choice(count, p=self._chance)], None
        order = np.random.default_rng([self._seed, number // count]).permutation(count)
        return self._scenes[order[number % count]], None

    def _sample(self, number: int, rng: np.random.Generator) -> LabelledPoints:
        threshold, size = self._pruning(rng)
        scene, thing = self._choose(number, rng)
        scene = augment(scene, self._config, rng, size, thing)
        # A scene without things, or a crop that lost them or all points, is replaced by another that has some.
        for _ in range(MOST_CROPS):
            if len(scene.boxes) and len(scene.xyz):
                return self._labelled(scene, threshold, rng)
            scene = augment(self._scenes[rng.choice(len(self._scenes), p=self._chance)], self._config, rng, size)
        raise self._nothing_in_crops(size)

    def _labelled(self, scene: TrainingScene, threshold: float, rng: np.random.Generator) -> LabelledPoints:
        origin = training_origin(scene.xyz) if self._recenter else np.zeros(3)
        origin += rng.normal(0, 0.1, 3)
        xyz = (scene.xyz - origin).astype(np.float32)
        boxes = scene.boxes - np.concatenate([origin, np.zeros(3)]).astype(np.float32)
        return LabelledPoints(torch.from_numpy(xyz), torch.from_numpy(boxes), torch.from_numpy(scene.labels), threshold)

    def _nothing_in_crops(self, size: float) -> InputError:
        thing = f"a labelled thing of at least {LEAST_POINTS} points"
        if not size:
            return InputError(f"training scenes: none of {MOST_CROPS} tried holds {thing}; label more of their points")
        key = "crop_size" if size == self._config.crop_size else "unpruned_crop"
        return InputError(
            f"{key}: none of {MOST_CROPS} crops of {size:g} m holds {LEAST_INSIDE:.0%} of {thing}; "
            f"raise {key}, or train on whole scenes with 0"
        )

    def _pruning(self, rng: np.random.Generator) -> tuple[float, float]:
        """The τ of a crop and its size in metres; 0 for a whole scene."""
        config = self._config
        if config.unpruned_share and rng.random() < config.unpruned_share:
            return 0.0, config.unpruned_crop
        low, high = config.keep_thresholds
        return (float(rng.uniform(low, high)) if low < high else high), config.crop_size


def _by_class(scenes: Sequence[TrainingScene]) -> list[np.ndarray]:
    """For each class that occurs, the (K, 2) scene and box indices of its things."""
    things = np.array([(i, k) for i, scene in enumerate(scenes) for k in range(len(scene.boxes))])
    labels = np.concatenate([scene.labels for scene in scenes])
    return [things[labels == label] for label in np.unique(labels)]


def augment(
    scene: TrainingScene,
    config: TrainingConfig,
    rng: np.random.Generator,
    crop_size: float,
    thing: int | None = None,
) -> TrainingScene:
    """A random crop, turned, mirrored, scaled and thinned: as published, but with any turn where possible."""
    if crop_size:
        scene = crop(scene, crop_size, rng, thing)
    matrix = np.diag([*rng.choice([-1.0, 1.0], 2), 1.0]) * rng.uniform(0.9, 1.1)
    mirrored = TrainingScene(scene.xyz @ matrix.T, scene.inst, _mapped(scene.boxes, matrix), scene.labels)
    return thin(turn(mirrored, config.yaw, rng), config.points_per_scene, rng)


def crop(scene: TrainingScene, size: float, rng: np.random.Generator, thing: int | None = None) -> TrainingScene:
    """A disc in plan of the given diameter (metres) about a thing, or any; a disc, so that a turn cannot cut it."""
    if not len(scene.boxes):
        return scene
    thing = int(rng.integers(len(scene.boxes))) if thing is None else thing
    center = scene.boxes[thing, :2] + rng.uniform(-0.3, 0.3, 2) * size
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
    matrix = geometry.turn("z", angle)
    xyz = scene.xyz @ matrix.T
    if scene.inst is None:
        center = scene.boxes[:, :3] @ matrix.T
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
    boxes, seen, number = measured(xyz, inst, len(scene.boxes))
    return TrainingScene(xyz, number, boxes, scene.labels[seen])
