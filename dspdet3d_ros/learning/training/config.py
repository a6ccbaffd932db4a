"""The training part of a model file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from dspdet3d_ros.detector.config import read_model_file
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse.coords import MAX_BATCH
from dspdet3d_ros.validation import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, SHARE, Range, check_fields, settings_of

_RANGES = {
    "batch_size": Range(1, MAX_BATCH),
    **dict.fromkeys(("epochs", "repeat", "points_per_scene", "positives_per_box", "prune_threshold"), AT_LEAST_ONE),
    **dict.fromkeys(("learning_rate", "clip_norm", "initial_size", "assignment_cube", "keep_cube"), POSITIVE),
    **dict.fromkeys(("iterations", "weight_decay", "crop_size", "unpruned_crop", "yaw"), NOT_NEGATIVE),
    **dict.fromkeys(("name_weight", "keep_weight"), NOT_NEGATIVE),
    **dict.fromkeys(("keep_thresholds", "unpruned_share"), SHARE),
}


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
        precision: "fp32", or "bf16" for matrix products of bfloat16 operands; "auto" measures both at the start and
            takes bf16 if it is faster. A resumed run keeps the precision that it started with.
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
        check_fields(self, _RANGES)
        if self.schedule not in ("steps", "cosine"):
            raise InputError(f"schedule: expected 'steps' or 'cosine', got {self.schedule!r}")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise InputError(f"precision: expected 'auto', 'fp32' or 'bf16', got {self.precision!r}")
        if self.sampling not in ("passes", "things", "classes"):
            raise InputError(f"sampling: expected 'passes', 'things' or 'classes', got {self.sampling!r}")
        low, high = self.keep_thresholds
        if low > high:
            raise InputError(f"keep_thresholds: expected the least and then the largest, got {[low, high]}")

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
    values = read_model_file(model).get("training")
    # A key without anything below it is None in YAML.
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise InputError(f"model {model}: training: expected a mapping, got {values!r}; docs/training.md shows one")
    values = {**values, **{key: value for key, value in overrides.items() if value is not None}}
    try:
        return settings_of(TrainingConfig, values)
    except InputError as error:
        raise InputError(f"model {model}: training: {error}; docs/training.md shows what there is") from error
