"""Training scenes: labelled clouds with the model's classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.labelled_scene import ANY_CLASS, LabelledScene


@dataclass(frozen=True)
class TrainingScene:
    """A labelled cloud, compact, as it lies in memory.

    Attributes:
        xyz: (N, 3) float32 metres.
        inst: (N,) int32, k + 1 for the points of box k, 0 elsewhere; None if the source does not say.
        boxes: (K, 6) float32.
        labels: (K,) int64 class indices.
        exact: see `LabelledScene`.
        extents: (K, D, 2) float32 or None, see `LabelledScene`; rows of NaN for objects whose extents are not known.
    """

    xyz: np.ndarray
    inst: np.ndarray | None
    boxes: np.ndarray
    labels: np.ndarray
    exact: bool = False
    extents: np.ndarray | None = None


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
    return TrainingScene(scene.xyz, scene.inst, scene.boxes, labels, scene.exact, scene.extents)
