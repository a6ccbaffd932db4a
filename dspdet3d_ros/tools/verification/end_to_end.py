"""The whole network: inference at several thresholds, and a training step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import LEVEL_OF_STRIDE, LevelOutput, keep_probability
from dspdet3d_ros.detector.network import DSPDet3D, voxelise
from dspdet3d_ros.detector.postprocess import best_cells, select_boxes
from dspdet3d_ros.detector.result import DetectionSettings
from dspdet3d_ros.learning.training.config import TrainingConfig
from dspdet3d_ros.learning.training.objective import LabelledPoints, batch_losses
from dspdet3d_ros.sparse import CoordinateSet, Engine, SparseTensor
from dspdet3d_ros.system import torch_threads
from dspdet3d_ros.tools.verification.comparison import (
    FORWARD_TOLERANCE,
    GRADIENT_TOLERANCE,
    LOSS_TOLERANCE,
    Check,
    close,
    read_description,
    read_reference,
)
from dspdet3d_ros.tools.verification.recipe import digest, gradient_digest, reference_weights

#: A keep probability this near to τ may fall to either side.
HANGING = 1e-5
_MOST_HANGING = 8
#: Of a gradient's product with a fixed random direction, by the gradient's norm: a gradient that is mirrored or in
#: another order is off by about 1; float32 batch statistics move it by about 0.01.
DIRECTION_TOLERANCE = 3e-2


def _network(description: dict[str, Any], statistics: dict[str, np.ndarray], device: torch.device) -> DSPDet3D:
    # The original's post-processing: overlap in plan view, classes apart, the 1000 best cells.
    classes = tuple(f"class {i}" for i in range(description["n_classes"]))
    network = DSPDet3D(ModelConfig(classes=classes, nms_overlap="plan_view", nms_pre=1000))
    network.load_state_dict(reference_weights(network, description["seed"], statistics))
    return network.to(device)


class ReferencePruner:
    """Prunes as the original does, and lets cells that hang on τ fall to the side on which they fell in the reference.

    The original compares strictly at τ = 0 too: a probability that underflows to 0 is pruned there.

    Args:
        tau: the threshold.
        expected: SHA-256 of the coordinates of each level, by level.
    """

    def __init__(self, tau: float, expected: dict[int, str]) -> None:
        self._tau = tau
        self._expected = expected
        self.hanging = 0

    def __call__(self, x: SparseTensor, keep_logits: Tensor) -> Tensor:
        """See `dspdet3d_ros.detector.head.Pruner`."""
        probability = keep_probability(keep_logits)
        mask = probability > self._tau
        wanted = self._expected.get(LEVEL_OF_STRIDE[x.coords.stride] - 1)
        near = ((probability - self._tau).abs() < HANGING).nonzero()[:, 0]
        if wanted is None or not mask.any() or not len(near) or self._tau == 0:
            return mask
        self.hanging += len(near)
        for sides in product((False, True), repeat=min(len(near), _MOST_HANGING)):
            tried = mask.clone()
            tried[near[: len(sides)]] = torch.tensor(sides, device=mask.device)
            if coordinates_sha256(x.coords.subset(tried).expanded()) == wanted:
                return tried
        return mask


def coordinates_sha256(coords: CoordinateSet) -> str:
    """SHA-256 of the sorted x, y, z columns as int32."""
    rows = np.ascontiguousarray(coords.coords[:, 1:].cpu().numpy().astype(np.int32))
    return hashlib.sha256(rows.tobytes()).hexdigest()


def verify_forward(path: Path, engine: Engine, device: torch.device) -> Iterator[Check]:
    """Compares backbone, levels and final boxes of an `e2e*.npz` with its json, at every τ."""
    arrays, description = read_reference(path), read_description(path.with_suffix(".json"))
    statistics = {name.removeprefix("bn/"): array for name, array in arrays.items() if name.startswith("bn/")}
    network = _network(description, statistics, device).eval()
    for scene in description["scenes"]:
        with torch.inference_mode():
            points = torch.from_numpy(arrays[f"{scene}/points"]).to(device)
            voxels = voxelise(points, network.config.voxel_size, engine)
            levels = network.backbone(voxels)
            for i, level in enumerate(levels):
                name = f"{scene}/backbone{i}"
                features = digest(level.features.cpu().numpy())
                yield from _compare_rows(
                    f"{path.stem} {name}", name, level.coords, features, "digest", arrays, description
                )
            for tau in description["taus"]:
                yield from _verify_head(path.stem, network, levels, scene, tau, arrays, description)


def _verify_head(
    stem: str,
    network: DSPDet3D,
    levels: list[SparseTensor],
    scene: str,
    tau: float,
    arrays: dict[str, np.ndarray],
    description: dict[str, Any],
) -> Iterator[Check]:
    run = f"{scene}/tau{tau}"
    prefix = f"{run}/level"
    hashes = {int(k.removeprefix(prefix)): v for k, v in description["coords_sha256"].items() if k.startswith(prefix)}
    pruner = ReferencePruner(tau, hashes)
    outputs = network.head(levels, pruner)
    for output in outputs:
        name = f"{run}/level{output.level}"
        regression = torch.cat([output.regression[:, :3], output.regression[:, 3:].exp()], 1).cpu().numpy()
        yield from _compare_rows(f"{stem} {name}", name, output.coords, regression, "reg", arrays, description)
        logits = digest(output.logits.cpu().numpy())
        stored = arrays.get(f"{name}/cls_digest")
        if stored is not None:
            yield close(f"{stem} {name} classes", _thinned(logits, description), stored, FORWARD_TOLERANCE)
    missing = sorted(set(hashes) - {output.level for output in outputs})
    yield Check(f"{stem} {run} levels", not missing, f"{len(outputs)} reached, {pruner.hanging} cells hang on τ")
    yield from _verify_boxes(f"{stem} {run} boxes", outputs, network.config, run, arrays, description)


def _compare_rows(
    title: str,
    name: str,
    coords: CoordinateSet,
    values: np.ndarray,
    key: str,
    arrays: dict[str, np.ndarray],
    description: dict[str, Any],
) -> Iterator[Check]:
    expected = description["level_rows"][name]
    same = len(coords) == expected and coordinates_sha256(coords) == description["coords_sha256"][name]
    detail = "equal" if same else "differ"
    yield Check(f"{title} coordinates", same, f"{len(coords)} cells, {expected} in the reference, {detail}")
    yield close(f"{title} {key}", _thinned(values, description), arrays[f"{name}/{key}"], FORWARD_TOLERANCE)


def _thinned(rows: np.ndarray, description: dict[str, Any]) -> np.ndarray:
    """Every k-th row, as the reference stores them."""
    return rows[:: max(1, -(-len(rows) // description["cap"]))]


def _verify_boxes(
    title: str,
    outputs: list[LevelOutput],
    config: ModelConfig,
    run: str,
    arrays: dict[str, np.ndarray],
    description: dict[str, Any],
) -> Iterator[Check]:
    """The best final boxes: each one of the reference must have its like among ours."""
    settings = DetectionSettings(0.0, 0.01, 0.5, max_detections=1_000_000)
    boxes, scores, _ = best_cells(outputs, config)
    selected = select_boxes(boxes, scores, settings, config)
    found = [part.numpy() for part in (selected.boxes, selected.scores, selected.labels)]
    reference = [arrays[f"{run}/{key}"] for key in ("boxes", "scores", "labels")]
    worst = max((_distance(box, found) for box in zip(*reference, strict=True)), default=0.0)
    yield Check(title, worst <= FORWARD_TOLERANCE, f"{len(reference[0])} compared, worst relative error {worst:.1e}")
    count = description["level_rows"][f"{run}/boxes"]
    # Suppression decides by an overlap of 0.5; where two boxes hang on it, rounding decides.
    near = abs(len(found[0]) - count) <= max(1, count // 1000)
    yield Check(f"{title} count", near, f"{len(found[0])} boxes, {count} in the reference")


def _distance(wanted: tuple[np.ndarray, float, int], found: list[np.ndarray]) -> float:
    boxes, scores, labels = found
    box, score, label = wanted
    error = np.maximum(np.linalg.norm(boxes - box, axis=1) / np.linalg.norm(box), np.abs(scores - score) / score)
    return float(np.where(labels == label, error, np.inf).min(initial=np.inf))


def verify_training(path: Path, engine: Engine, device: torch.device) -> Iterator[Check]:
    """Compares losses and gradients of a `train*.npz` with its json."""
    arrays, description = read_reference(path), read_description(path.with_suffix(".json"))
    count = sum(name.startswith("points") for name in arrays)

    def part(name: str) -> torch.Tensor:
        return torch.from_numpy(arrays[name]).to(device)

    batch = [
        LabelledPoints(points=part(f"points{i}"), boxes=part(f"boxes{i}"), labels=part(f"labels{i}"))
        for i in range(count)
    ]
    for threshold, reference in description["runs"].items():
        network = _network(description, {}, device).train()
        # On one thread float32 batch statistics round so that weak pruning picks other cells.
        with torch_threads(max(torch.get_num_threads(), 2)):
            losses = batch_losses(network, batch, TrainingConfig(prune_threshold=int(threshold)), engine)
            losses.total.backward()
        title = f"{path.stem} pts_prune_threshold {threshold}"
        for name in ("cls", "bbox", "keep"):
            value, wanted = getattr(losses, name), reference["losses"][f"{name}_loss"]
            yield close(f"{title} {name} loss", value.detach().cpu().numpy(), np.array(wanted), LOSS_TOLERANCE)
        gradients = {
            name: parameter.grad.cpu().numpy()
            for name, parameter in network.named_parameters()
            if parameter.grad is not None
        }
        yield from _verify_gradients(title, gradients, reference["grad"])


def _verify_gradients(title: str, gradients: dict[str, np.ndarray], reference: dict[str, Any]) -> Iterator[Check]:
    missing = sorted(set(reference) ^ set(gradients))
    yield Check(
        f"{title} parameters", not missing, f"{len(gradients)} gradients" + f", differ in {missing}" * bool(missing)
    )
    norms, products = {}, {}
    for name in set(reference) & set(gradients):
        norm, product_ = gradient_digest(name, gradients[name])
        wanted_norm, wanted_product = reference[name]
        norms[name] = abs(norm - wanted_norm) / wanted_norm
        products[name] = abs(product_ - wanted_product) / wanted_norm
    for what, errors, tolerance in (
        ("gradient norms", norms, GRADIENT_TOLERANCE),
        ("gradient directions", products, DIRECTION_TOLERANCE),
    ):
        worst = max(errors, key=errors.__getitem__)
        detail = f"worst {errors[worst]:.1e} (at most {tolerance:g}), {worst}"
        yield Check(f"{title} {what}", errors[worst] <= tolerance, detail)
