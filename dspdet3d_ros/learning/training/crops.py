"""Batches of crops of the training scenes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from dspdet3d_ros.detector.preprocess import training_origin
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.label_boxes import LEAST_POINTS
from dspdet3d_ros.learning.training.augmentation import LEAST_INSIDE, augment
from dspdet3d_ros.learning.training.objective import TrainSample
from dspdet3d_ros.learning.training.scenes import TrainingScene
from dspdet3d_ros.learning.training.training_config import TrainingConfig

#: Crops that are looked at for one with a labelled object, before the scenes are refused.
MOST_CROPS = 100
#: Standard deviation of the random shift of each crop's origin, metres.
_ORIGIN_SHIFT_M = 0.1


def crop_origin(xyz: np.ndarray, recenter: bool, rng: np.random.Generator) -> np.ndarray:
    """(3,) float64 metres: what is subtracted from a crop, and so the origin of its voxels.

    The only place where a crop gets the frame of the network: it must be what the detector does to a cloud, and the
    random shift lets the voxels of each crop begin somewhere else.

    Args:
        xyz: (N, 3) the crop, N at least 1.
        recenter: whether the detector moves clouds to `training_origin`.
        rng: source of chance.
    """
    origin = training_origin(xyz) if recenter else np.zeros(3)
    return origin + rng.normal(0, _ORIGIN_SHIFT_M, 3)


class CropDataset(Dataset):
    """Batch i of a training run: a pure function of the seed and i, so that a resumed run goes on exactly.

    Args:
        scenes: to train on.
        config: crop size, augmentation, batch size.
        seed: seed of all choices.
        recenter: see `crop_origin`.
        rank, processes: number of this process, and how many train the network; each has batches of its own.

    Raises:
        InputError: no scene has a labelled object.
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
        objects = np.array([len(scene.boxes) for scene in scenes], np.float64)
        if not objects.sum():
            raise InputError(
                "training scenes: expected at least one labelled object, found none; label some, or generate scenes"
            )
        self._chance = objects / objects.sum()
        self._members = _by_class(scenes)

    def __len__(self) -> int:
        return self._config.iterations

    def __getitem__(self, iteration: int) -> list[TrainSample]:
        rng = np.random.default_rng([self._seed, iteration, self._rank])
        size = self._config.batch_size
        first = (iteration * self._processes + self._rank) * size
        return [self._sample(number, rng) for number in range(first, first + size)]

    def _choose(self, number: int, rng: np.random.Generator) -> tuple[TrainingScene, int | None]:
        """The scene of the run's sample of this number, and the object that the crop is about, if any."""
        count = len(self._scenes)
        if self._config.sampling == "classes":
            scene, index = rng.choice(self._members[rng.integers(len(self._members))])
            return self._scenes[scene], int(index)
        if self._config.sampling == "objects":
            return self._scenes[rng.choice(count, p=self._chance)], None
        order = np.random.default_rng([self._seed, number // count]).permutation(count)
        return self._scenes[order[number % count]], None

    def _sample(self, number: int, rng: np.random.Generator) -> TrainSample:
        threshold, size = self._pruning(rng)
        scene, index = self._choose(number, rng)
        scene = augment(scene, self._config, rng, size, index)
        # A scene without objects, or a crop that lost them or all points, is replaced by another one.
        for _ in range(MOST_CROPS):
            if len(scene.boxes) and len(scene.xyz):
                return self._labelled(scene, threshold, rng)
            scene = augment(self._scenes[rng.choice(len(self._scenes), p=self._chance)], self._config, rng, size)
        raise self._nothing_in_crops(size)

    def _labelled(self, scene: TrainingScene, threshold: float, rng: np.random.Generator) -> TrainSample:
        origin = crop_origin(scene.xyz, self._recenter, rng)
        xyz = (scene.xyz - origin).astype(np.float32)
        boxes = scene.boxes - np.concatenate([origin, np.zeros(3)]).astype(np.float32)
        return TrainSample(torch.from_numpy(xyz), torch.from_numpy(boxes), torch.from_numpy(scene.labels), threshold)

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


def _by_class(scenes: Sequence[TrainingScene]) -> list[np.ndarray]:
    """For each class that occurs, the (K, 2) scene and box indices of its objects."""
    objects = np.array([(i, k) for i, scene in enumerate(scenes) for k in range(len(scene.boxes))])
    labels = np.concatenate([scene.labels for scene in scenes])
    return [objects[labels == label] for label in np.unique(labels)]
