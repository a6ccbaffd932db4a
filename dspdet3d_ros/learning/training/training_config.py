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
    **dict.fromkeys(("learning_rate", "clip_norm", "initial_size", "assignment_cube", "prune_cube"), POSITIVE),
    **dict.fromkeys(("iterations", "weight_decay", "crop_size", "unpruned_crop", "yaw"), NOT_NEGATIVE),
    **dict.fromkeys(("class_weight", "prune_weight"), NOT_NEGATIVE),
    **dict.fromkeys(("train_tau_range", "unpruned_fraction", "background_fraction", "touching_fraction"), SHARE),
    **dict.fromkeys(("wide_scale_fraction", "degraded_fraction", "ragged_fraction"), SHARE),
    **dict.fromkeys(("wide_scale", "degraded_scale"), POSITIVE),
    "ema_decay": Range(0, 0.99999),
}


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the training of a model. Defaults are the published recipe.

    Attributes:
        epochs: parts of a run; after each part the model can be evaluated. In the published recipe an epoch is `repeat`
            passes over the scenes.
        repeat: passes over the scenes in an epoch.
        iterations: optimiser steps of the whole run, for any number of scenes; 0 follows from `epochs`.
        sampling: "passes" takes every scene once in each pass. "objects" draws scenes in proportion to their numbers of
            labelled objects. "classes" draws a class, then one of its objects, and takes the crop around it, so that
            rare classes are seen as often as common ones.
        batch_size: scenes or crops per step, in each process.
        learning_rate, weight_decay, clip_norm: of AdamW and its gradients.
        schedule: "steps" multiplies the rate by 0.1 after 8/12 and 11/12 of the run, as published (12 epochs);
            "cosine" warms up over the first 3 % and falls to 0.
        precision: "fp32", or "bf16" for matrix products of bfloat16 operands; "auto" measures both at the start and
            takes bf16 if it is faster. A resumed run keeps the precision that it started with.
        freeze_norm: batch normalisation keeps the statistics of the weights that `--init` loads. Training then runs
            with the same statistics as inference.
        crop_size: diameter in plan of the crops, metres; 0 trains on whole scenes.
        points_per_scene: points that are sampled from a scene or crop.
        yaw: largest rotation about the vertical, radians, if each point has an instance number; otherwise ±0.02, since
            boxes would no longer fit after larger ones.
        background_fraction: part of the crops that lie away from objects, on furniture if possible; scenes without
            objects are used for these only.
        ragged_fraction: part of these crops that lose their objects and are bent, cut off, pierced, or reduced to what
            is seen from one place; see `ragged.ragged`.
        touching_fraction: part of the other crops that are about an object that touches another one or lies on it.
        wide_scale_fraction: part of the crops that are scaled by a factor from `wide_scale`; the others by 0.9 to 1.1.
        wide_scale: the smallest and the largest of these factors.
        degraded_fraction: part of the crops that get other densities, voxel centres, gaps between scan lines, shards,
            noise or doubled surfaces; see `degradation.degraded`.
        degraded_scale: factor of the lengths of these changes.
        ema_decay: the weights that are evaluated and written are an exponential moving average of those of the steps,
            with this decay; 0 takes the weights of the last step.
        initial_size: size of the boxes that an untrained network predicts, metres.
        class_weight: weight of the cross-entropy between classes at the positive cells, next to the focal loss; 0 in
            the published recipe.
        positives_per_box: number of positive cells of a box.
        assignment_cube: edge of the cube around a box's centre that its positive cells lie in, in cells.
        prune_cube: edge r of the cube around an object in which cells must be kept, in cells.
        prune_weight: weight of the pruning loss.
        train_tau_range: the smallest and the largest τ. Each crop draws its own τ and is pruned as in inference, except
            that cells which must be kept are kept. (0, 0) prunes by `prune_threshold` only, as published.
        unpruned_fraction: part of the crops that are not pruned by τ, so that the network also sees cells far from
            objects.
        unpruned_crop: diameter in plan of those crops, metres. They hold more cells, so they are smaller.
        prune_threshold: most cells of a scene and level in training (`pts_prune_threshold`).
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
    background_fraction: float = 0.0
    ragged_fraction: float = 0.0
    touching_fraction: float = 0.0
    wide_scale_fraction: float = 0.0
    wide_scale: tuple[float, float] = (0.7, 1.5)
    degraded_fraction: float = 0.0
    degraded_scale: float = 1.0
    ema_decay: float = 0.0
    initial_size: float = 1.0
    class_weight: float = 0.0
    positives_per_box: int = 6
    assignment_cube: float = 7.0
    prune_cube: float = 7.0
    prune_weight: float = 0.01
    train_tau_range: tuple[float, float] = (0.0, 0.0)
    unpruned_fraction: float = 0.0
    unpruned_crop: float = 0.0
    prune_threshold: int = 100_000

    def __post_init__(self) -> None:
        check_fields(self, _RANGES)
        if self.schedule not in ("steps", "cosine"):
            raise InputError(f"schedule: expected 'steps' or 'cosine', got {self.schedule!r}")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise InputError(f"precision: expected 'auto', 'fp32' or 'bf16', got {self.precision!r}")
        if self.sampling not in ("passes", "objects", "classes"):
            raise InputError(f"sampling: expected 'passes', 'objects' or 'classes', got {self.sampling!r}")
        low, high = self.train_tau_range
        if low > high:
            raise InputError(f"train_tau_range: expected the least and then the largest, got {[low, high]}")
        low, high = self.wide_scale
        if low > high:
            raise InputError(f"wide_scale: expected the smallest and then the largest, got {[low, high]}")

    def with_iterations(self, scenes: int, processes: int) -> TrainingConfig:
        """The recipe with a fixed number of steps, which follows from the numbers of scenes and processes."""
        if self.iterations:
            return self
        steps = math.ceil(scenes * self.repeat / (self.batch_size * processes))
        return replace(self, iterations=self.epochs * steps)


def load_training_config(model: str, **overrides: Any) -> TrainingConfig:
    """The `training` part of a model file. Missing keys are as published; `overrides` that are not None replace keys.

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
