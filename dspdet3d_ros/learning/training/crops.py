"""Batches of crops of the training scenes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.preprocess import ANCHOR, training_origin
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import corners
from dspdet3d_ros.learning.datasets.label_boxes import LEAST_POINTS
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.training.augmentation import LEAST_INSIDE, Focus, augment
from dspdet3d_ros.learning.training.ragged import ragged
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.learning.training.training_config import TrainingConfig

#: Crops that are looked at for one with a labelled object, before the scenes are refused.
MOST_CROPS = 100
#: Objects whose boxes are at most so far apart touch, metres.
_TOUCHING_M = 0.01
#: The centre of a background crop is at least so far from the boxes in plan, metres.
_BACKGROUND_DISTANCE_M = 0.4
#: The part of the background crops that lie around a point above the floor: furniture, not the bare floor.
_ABOVE_FLOOR = 0.8
_FLOOR_M = 0.15


def crop_origin(xyz: np.ndarray, recenter: bool, voxel_size: float, rng: np.random.Generator) -> np.ndarray:
    """(3,) float64 metres: the origin of a crop's voxels, which is subtracted from its points.

    This is the only function that defines the frame of a crop. The detector's grid is fixed in the frame of the cloud,
    so an object can lie anywhere in the cells of all levels: the shift is uniform over an edge of the coarsest cells.

    Args:
        xyz: (N, 3) the crop, N at least 1.
        recenter: whether the detector moves clouds to `training_origin`.
        voxel_size: edge of a voxel, metres.
        rng: source of chance.
    """
    origin = training_origin(xyz) if recenter else np.zeros(3)
    return origin + rng.uniform(-0.5, 0.5, 3) * ANCHOR * voxel_size


class CropDataset(Dataset):
    """Batch i of a training run: a pure function of the seed and i, so that a resumed run goes on exactly.

    Args:
        scenes: to train on; see `training_scene`.
        classes: class names of the model.
        config: crop size, augmentation, batch size.
        seed: seed of all choices.
        recenter, voxel_size: see `crop_origin`.
        rank, processes: number of this process, and how many train the network; each has batches of its own.

    Raises:
        InputError: no scene has a labelled object.
    """

    def __init__(
        self,
        scenes: Sequence[LabelledScene],
        classes: Sequence[str],
        config: TrainingConfig,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        *,
        recenter: bool,
        voxel_size: float = ModelConfig.voxel_size,
    ) -> None:
        self._scenes = scenes
        self._index = {name: number for number, name in enumerate(classes)}
        self._config = config
        self._seed = seed
        self._recenter, self._voxel_size = recenter, voxel_size
        self._rank, self._processes = rank, processes
        objects = np.array([len(scene.boxes) for scene in scenes], np.float64)
        if not objects.sum():
            raise InputError(
                "training scenes: expected at least one labelled object, found none; label some, or generate scenes"
            )
        self._chance = objects / objects.sum()
        self._members = _by_class([self._labels(scene) for scene in scenes])
        self._touching = _touching(scenes) if config.touching_fraction else np.empty((0, 2), np.int64)

    def __len__(self) -> int:
        return self._config.iterations

    def __getitem__(self, iteration: int) -> list[TrainSample]:
        rng = np.random.default_rng([self._seed, iteration, self._rank])
        size = self._config.batch_size
        first = (iteration * self._processes + self._rank) * size
        return [self._sample(number, rng, number > first) for number in range(first, first + size)]

    def _sample(self, number: int, rng: np.random.Generator, background: bool) -> TrainSample:
        """The run's sample of this number.

        Args:
            number: of the sample.
            rng: source of chance.
            background: whether it may be a background crop. One crop of a batch is not: the losses are divided by the
                number of cells that learn a box.
        """
        threshold, size = self._pruning(rng)
        # The first crop of a batch is none, so the others are more often.
        share = self._config.background_fraction * self._config.batch_size / max(self._config.batch_size - 1, 1)
        if background and size and rng.random() < share:
            crop = self._background(size, rng)
            if len(crop.xyz):
                return self._labelled(crop, threshold, rng)
        scene, index = self._choose(number, rng)
        crop = augment(scene, self._config, rng, size, Focus(index=index))
        # A scene without objects, or a crop that lost them or all points, is replaced by another one.
        for _ in range(MOST_CROPS):
            if len(crop.boxes) and len(crop.xyz):
                return self._labelled(crop, threshold, rng)
            crop = augment(self._scenes[rng.choice(len(self._scenes), p=self._chance)], self._config, rng, size)
        raise self._nothing_in_crops(size)

    def _choose(self, number: int, rng: np.random.Generator) -> tuple[LabelledScene, int | None]:
        """The scene of the run's sample of this number, and the object that the crop is about, if any."""
        count = len(self._scenes)
        if len(self._touching) and rng.random() < self._config.touching_fraction:
            scene, index = rng.choice(self._touching)
            return self._scenes[scene], int(index)
        if self._config.sampling == "classes":
            scene, index = rng.choice(self._members[rng.integers(len(self._members))])
            return self._scenes[scene], int(index)
        if self._config.sampling == "objects":
            return self._scenes[rng.choice(count, p=self._chance)], None
        order = np.random.default_rng([self._seed, number // count]).permutation(count)
        return self._scenes[order[number % count]], None

    def _background(self, size: float, rng: np.random.Generator) -> LabelledScene:
        """A crop around a point of a random scene that is not near an object; objects may lie at its edge."""
        scene = self._scenes[int(rng.integers(len(self._scenes)))]
        crop = augment(scene, self._config, rng, size, Focus(point=_background_point(scene, rng)))
        if self._config.ragged_fraction and rng.random() < self._config.ragged_fraction:
            return ragged(crop, rng, self._config.degraded_scale)
        return crop

    def _labelled(self, scene: LabelledScene, threshold: float, rng: np.random.Generator) -> TrainSample:
        origin = crop_origin(scene.xyz, self._recenter, self._voxel_size, rng)
        xyz = (scene.xyz - origin).astype(np.float32)
        shift = np.concatenate([origin, np.zeros(3)]).astype(np.float32)
        labels = torch.from_numpy(self._labels(scene))
        ignore = np.empty((0, 6), np.float32) if scene.ignore is None else scene.ignore - shift
        return TrainSample(
            torch.from_numpy(xyz), torch.from_numpy(scene.boxes - shift), labels, threshold, torch.from_numpy(ignore)
        )

    def _labels(self, scene: LabelledScene) -> np.ndarray:
        """(K,) int64 class index of each object."""
        return np.array([self._index[name] for name in scene.names], np.int64)

    def _nothing_in_crops(self, size: float) -> InputError:
        wanted = f"a labelled object of at least {LEAST_POINTS} points"
        if not size:
            return InputError(f"training scenes: none of {MOST_CROPS} tried holds {wanted}; label more of their points")
        key = "crop_size" if size == self._config.crop_size else "unpruned_crop"
        return InputError(
            f"{key}: none of {MOST_CROPS} crops of {size:g} m holds {LEAST_INSIDE:.0%} of {wanted}; "
            f"raise {key}, or train on whole scenes with 0"
        )

    def _pruning(self, rng: np.random.Generator) -> tuple[float, float]:
        """The τ of a crop and its size in metres; 0 for a whole scene."""
        config = self._config
        if config.unpruned_fraction and rng.random() < config.unpruned_fraction:
            return 0.0, config.unpruned_crop
        low, high = config.train_tau_range
        return (float(rng.uniform(low, high)) if low < high else high), config.crop_size


def _by_class(labels: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each class that occurs, the (K, 2) scene and box indices of its objects, from the labels of each scene."""
    objects = np.array([(i, k) for i, of_scene in enumerate(labels) for k in range(len(of_scene))])
    joined = np.concatenate(labels)
    return [objects[joined == label] for label in np.unique(joined)]


def _touching(scenes: Sequence[LabelledScene]) -> np.ndarray:
    """(K, 2) scene and box indices of the objects that touch another one or lie on it."""
    rows = []
    for i, scene in enumerate(scenes):
        low, high = corners(scene.boxes)
        gap = np.maximum(low[:, None] - high, low - high[:, None]).max(2)
        np.fill_diagonal(gap, np.inf)
        rows += [(i, k) for k in np.flatnonzero((gap <= _TOUCHING_M).any(1))]
    return np.array(rows, np.int64).reshape(-1, 2)


def _background_point(scene: LabelledScene, rng: np.random.Generator) -> np.ndarray:
    """(3,) a point far from the objects in plan, mostly above the floor; any point if there is none like that."""
    points = scene.xyz[rng.integers(len(scene.xyz), size=256)] if len(scene.xyz) else np.zeros((1, 3))
    low, top = corners(scene.boxes)
    beside = np.maximum(low[:, :2] - points[:, None, :2], points[:, None, :2] - top[:, :2]).max(2)
    far = (beside > _BACKGROUND_DISTANCE_M).all(1)
    high = points[:, 2] > points[:, 2].min() + _FLOOR_M
    # The best point first; the sort keeps the random order of equal ones.
    rank = 2 * ~far + ~high if rng.random() < _ABOVE_FLOOR else 2 * ~far
    return points[np.argsort(rank, kind="stable")[0]]
