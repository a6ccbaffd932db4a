"""The training part of a model file."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

from dspdet3d_ros.detector.config import read_model_file
from dspdet3d_ros.errors import InputError, text_of


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained. Defaults are the published recipe.

    Attributes:
        epochs: parts of a run; after each the model can be evaluated. As published, an epoch is `repeat` passes over
            the scenes.
        repeat: passes over the scenes in an epoch.
        iterations: optimiser steps of the whole run, whatever the number of scenes; 0 follows from `epochs`.
        sampling: "passes" takes every scene once in each pass; "things" draws scenes in proportion to the things that
            are labelled in them; "classes" draws a class and then one of its things, so that rare names are learnt too,
            and takes the crop about it.
        batch_size: scenes or crops a step, in each process.
        learning_rate, weight_decay, clip_norm: of AdamW and its gradients.
        schedule: "steps" multiplies the rate by 0.1 after 8/12 and 11/12 of the run, as published (12 epochs);
            "cosine" warms up over the first 3 % and falls to 0.
        precision: "fp32", or "bf16" for matrix products of bfloat16 operands.
        freeze_norm: batch normalisation keeps the statistics that training started from, which `--init` brings; what is
            learned is then exactly what is in use.
        crop_size: edge in plan of the crops that are trained on, metres; 0 trains on whole scenes.
        points_per_scene: points sampled of a scene or crop.
        yaw: largest turn about the vertical, radians, where the points say which object they belong to; ±0.02
            elsewhere, since turned boxes would no longer fit.
        initial_size: size of the boxes predicted before training, metres.
        name_weight: weight of the cross-entropy between the class names at the cells that learn a box, beside the
            focal loss; 0 as published.
        positives_per_box: cells that learn a box.
        assignment_cube: edge of the cube, in cells, within which cells can learn a box.
        keep_cube: edge r of the cube, in cells, about an object within which cells are to be kept.
        keep_weight: weight of the keep loss.
        keep_thresholds: the least and the largest τ at which crops are pruned in training as they are in use, but never
            a cell that is to be kept; each crop draws its own. (0, 0) prunes only by `prune_threshold`, as published.
        unpruned_share: part of the crops that are not pruned by τ all the same, so that cells far from things are
            judged too.
        unpruned_crop: edge in plan of those crops, metres; they hold more cells, so they are smaller.
        prune_threshold: cells of a scene and level in training at the most (`pts_prune_threshold`).
    """

    epochs: int = 12
    repeat: int = 10
    iterations: int = 0
    sampling: str = "passes"
    batch_size: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    clip_norm: float = 10.0
    schedule: str = "steps"
    precision: str = "fp32"
    freeze_norm: bool = False
    crop_size: float = 0.0
    points_per_scene: int = 100_000
    yaw: float = 0.02
    initial_size: float = 1.0
    name_weight: float = 0.0
    positives_per_box: int = 6
    assignment_cube: float = 7.0
    keep_cube: float = 7.0
    keep_weight: float = 0.01
    keep_thresholds: tuple[float, float] = (0.0, 0.0)
    unpruned_share: float = 0.0
    unpruned_crop: float = 0.0
    prune_threshold: int = 100_000

    def __post_init__(self) -> None:
        if self.schedule not in ("steps", "cosine"):
            raise InputError(f"schedule: expected 'steps' or 'cosine', got {self.schedule!r}")
        if self.precision not in ("fp32", "bf16"):
            raise InputError(f"precision: expected 'fp32' or 'bf16', got {self.precision!r}")
        if self.sampling not in ("passes", "things", "classes"):
            raise InputError(f"sampling: expected 'passes', 'things' or 'classes', got {self.sampling!r}")
        low, high = self.keep_thresholds
        if not 0 <= low <= high <= 1 or not 0 <= self.unpruned_share <= 1:
            raise InputError(
                "keep_thresholds, unpruned_share: expected 0 <= least <= largest <= 1 and a share of 0 to 1, "
                f"got {list(self.keep_thresholds)} and {self.unpruned_share}"
            )
        if min(self.epochs, self.repeat, self.batch_size, self.points_per_scene) < 1 or self.iterations < 0:
            least = min(self.epochs, self.repeat, self.batch_size, self.points_per_scene)
            raise InputError(
                "epochs, repeat, batch_size, points_per_scene, iterations: expected at least 1, iterations at least 0, "
                f"got {least} and {self.iterations}"
            )

    def with_iterations(self, scenes: int, processes: int) -> TrainingConfig:
        """The recipe with the number of steps settled for a number of scenes and processes."""
        if self.iterations:
            return self
        steps = math.ceil(scenes * self.repeat / (self.batch_size * processes))
        return replace(self, iterations=self.epochs * steps)


def load_training_config(model: str, **overrides: Any) -> TrainingConfig:
    """The `training` part of a model file; what it leaves out is as published, `overrides` win where not None.

    Raises:
        InputError: the file cannot be used, a key is unknown or a value cannot be used.
    """
    values = {**read_model_file(model).get("training", {})}
    values.update({key: value for key, value in overrides.items() if value is not None})
    known = {field.name for field in fields(TrainingConfig)}
    unknown = set(values) - known
    if unknown:
        raise InputError(
            f"model {model}: training: {sorted(unknown)[0]}: unknown key; known are {', '.join(sorted(known))}"
        )
    try:
        return TrainingConfig(**values)
    except TypeError as error:
        raise InputError(f"model {model}: training: {text_of(error)}; docs/training.md shows what there is") from error
