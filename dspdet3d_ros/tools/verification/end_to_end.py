"""Comparison of the whole network: inference at several pruning thresholds, and a training step."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.detector.best_cells import best_cells
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import LEVEL_OF_STRIDE, LevelOutput
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.postprocess import select_boxes
from dspdet3d_ros.detector.preprocess import voxelise
from dspdet3d_ros.detector.pruning import Pruning, keep_probability
from dspdet3d_ros.detector.result import DetectionSettings
from dspdet3d_ros.learning.training.objective import batch_losses
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.learning.training.training_config import TrainingConfig
from dspdet3d_ros.sparse import CoordinateSet, Engine, SparseTensor
from dspdet3d_ros.sparse.torch_rows import TorchRows
from dspdet3d_ros.system import torch_threads
from dspdet3d_ros.tools.verification.comparison import (
    FORWARD_TOLERANCE,
    GRADIENT_TOLERANCE,
    LOSS_TOLERANCE,
    Comparison,
    close,
    read_description,
    read_reference,
)
from dspdet3d_ros.tools.verification.recipe import digest, gradient_digest, reference_weights

#: Probabilities that differ from τ by less than this are within rounding: they may lie on either side of τ.
ROUNDING = 1e-5
#: Maximum number of such cells for which all combinations are tried.
_MOST_UNDECIDED = 8
#: Tolerance of the product of a gradient with a fixed random direction, relative to the norm of the gradient. A
#: mirrored or permuted gradient differs by about 1. Float32 batch statistics change it by about 0.01.
DIRECTION_TOLERANCE = 3e-2


def _network(description: dict[str, Any], statistics: dict[str, np.ndarray], device: torch.device) -> DSPDet3D:
    # The post-processing of the original: overlap in plan view, NMS per class, the 1000 best cells.
    classes = tuple(f"class {i}" for i in range(description["n_classes"]))
    network = DSPDet3D(ModelConfig(classes=classes, nms_overlap="plan_view", nms_pre=1000, recenter=False))
    network.load_state_dict(reference_weights(network, description["seed"], statistics))
    return network.to(device)


class ReferencePruning(Pruning):
    """Prunes as the original does. Cells within rounding of τ are kept or pruned as in the reference.

    The original compares strictly at τ = 0 too, so it prunes probabilities that underflow to 0.

    Args:
        tau: the threshold.
        expected: SHA-256 of the coordinates of each level, by level.

    Attributes:
        undecided: number of cells within rounding of τ so far.
    """

    def __init__(self, tau: float, expected: dict[int, str]) -> None:
        self._tau = tau
        self._expected = expected
        self.undecided = 0

    def keep(self, cells: SparseTensor, prune_logits: Tensor) -> Tensor:
        """See `Pruning.keep`."""
        probability = keep_probability(prune_logits)
        mask = probability > self._tau
        wanted = self._expected.get(LEVEL_OF_STRIDE[cells.coords.stride] - 1)
        near = ((probability - self._tau).abs() < ROUNDING).nonzero()[:, 0]
        if wanted is None or not mask.any() or not len(near) or self._tau == 0:
            return mask
        self.undecided += len(near)
        for sides in product((False, True), repeat=min(len(near), _MOST_UNDECIDED)):
            tried = mask.clone()
            tried[near[: len(sides)]] = torch.tensor(sides, device=mask.device)
            if coordinates_sha256(cells.coords.subset(tried).expanded()) == wanted:
                return tried
        return mask


def coordinates_sha256(coords: CoordinateSet) -> str:
    """SHA-256 of the sorted x, y, z columns as int32."""
    rows = np.ascontiguousarray(coords.coords[:, 1:].cpu().numpy().astype(np.int32))
    return hashlib.sha256(rows.tobytes()).hexdigest()


def verify_forward(path: Path, engine: Engine, device: torch.device) -> Iterator[Comparison]:
    """Compares backbone, levels and final boxes of an `e2e*.npz` with its json, at every τ."""
    arrays, description = read_reference(path), read_description(path.with_suffix(".json"))
    statistics = {name.removeprefix("bn/"): array for name, array in arrays.items() if name.startswith("bn/")}
    network = _network(description, statistics, device).eval()
    for scene in description["scenes"]:
        # A generator that yields within the context would leave it on for the caller: each comparison computes in its
        # own. Tensors of inference mode can be read outside.
        with torch.inference_mode():
            points = torch.from_numpy(arrays[f"{scene}/points"]).to(device)
            levels = network.backbone(voxelise(points, network.config.voxel_size, engine))
        for i, level in enumerate(levels):
            name = f"{scene}/backbone{i}"
            features = digest(level.features.cpu().numpy())
            yield from _compare_rows(f"{path.stem} {name}", name, level.coords, features, "digest", arrays, description)
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
) -> Iterator[Comparison]:
    run = f"{scene}/tau{tau}"
    prefix = f"{run}/level"
    hashes = {int(k.removeprefix(prefix)): v for k, v in description["coords_sha256"].items() if k.startswith(prefix)}
    pruning = ReferencePruning(tau, hashes)
    with torch.inference_mode():
        outputs = network.head(levels, pruning)
    for output in outputs:
        name = f"{run}/level{output.level}"
        regression = torch.cat([output.regression[:, :3], output.regression[:, 3:].exp()], 1).cpu().numpy()
        yield from _compare_rows(f"{stem} {name}", name, output.coords, regression, "reg", arrays, description)
        logits = digest(output.logits.cpu().numpy())
        stored = arrays.get(f"{name}/cls_digest")
        if stored is not None:
            yield close(f"{stem} {name} classes", _thinned(logits, description), stored, FORWARD_TOLERANCE)
    missing = sorted(set(hashes) - {output.level for output in outputs})
    detail = f"{len(outputs)} reached, {pruning.undecided} cells within rounding of τ"
    yield Comparison(f"{stem} {run} levels", not missing, detail)
    yield from _verify_boxes(f"{stem} {run} boxes", outputs, network.config, run, arrays, description)


def _compare_rows(
    title: str,
    name: str,
    coords: CoordinateSet,
    values: np.ndarray,
    key: str,
    arrays: dict[str, np.ndarray],
    description: dict[str, Any],
) -> Iterator[Comparison]:
    expected = description["level_rows"][name]
    same = len(coords) == expected and coordinates_sha256(coords) == description["coords_sha256"][name]
    detail = "equal" if same else "differ"
    yield Comparison(f"{title} coordinates", same, f"{len(coords)} cells, {expected} in the reference, {detail}")
    yield close(f"{title} {key}", _thinned(values, description), arrays[f"{name}/{key}"], FORWARD_TOLERANCE)


def _thinned(rows: np.ndarray, description: dict[str, Any]) -> np.ndarray:
    """Every k-th row, as the reference contains them."""
    return rows[:: max(1, -(-len(rows) // description["cap"]))]


def _verify_boxes(
    title: str,
    outputs: list[LevelOutput],
    config: ModelConfig,
    run: str,
    arrays: dict[str, np.ndarray],
    description: dict[str, Any],
) -> Iterator[Comparison]:
    """Compares the best final boxes: for each box of the reference there must be an equal one."""
    settings = DetectionSettings(0.0, 0.01, 0.5, max_detections=1_000_000)
    with torch.inference_mode():
        boxes, scores, _ = best_cells(outputs, config)
        selected = select_boxes(boxes, scores, settings, config)
    ours = [part.numpy() for part in (selected.boxes, selected.scores, selected.labels)]
    reference = [arrays[f"{run}/{key}"] for key in ("boxes", "scores", "labels")]
    worst = max((_distance(box, ours) for box in zip(*reference, strict=True)), default=0.0)
    yield Comparison(
        title, worst <= FORWARD_TOLERANCE, f"{len(reference[0])} compared, worst relative error {worst:.1e}"
    )
    count = description["level_rows"][f"{run}/boxes"]
    # For boxes whose overlap is within rounding of the NMS threshold of 0.5, rounding decides.
    near = abs(len(ours[0]) - count) <= max(1, count // 1000)
    yield Comparison(f"{title} count", near, f"{len(ours[0])} boxes, {count} in the reference")


def _distance(wanted: tuple[np.ndarray, float, int], ours: list[np.ndarray]) -> float:
    """Relative error of the most similar of our boxes; infinite if none has the class."""
    boxes, scores, labels = ours
    box, score, label = wanted
    error = np.maximum(np.linalg.norm(boxes - box, axis=1) / np.linalg.norm(box), np.abs(scores - score) / score)
    return float(np.where(labels == label, error, np.inf).min(initial=np.inf))


class _TorchNormalisation(TorchRows):
    """An engine whose batch normalisation is that of torch, as in the original.

    The sums of torch are float32, and their rounding decides on which side of zero some values before a ReLU are. The
    gradients of the original contain it: those with more exact statistics differ by several percent.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


def verify_training(path: Path, engine: Engine, device: torch.device) -> Iterator[Comparison]:
    """Compares losses and gradients of a `train*.npz` with its json."""
    arrays, description = read_reference(path), read_description(path.with_suffix(".json"))
    count = sum(name.startswith("points") for name in arrays)

    def part(name: str) -> torch.Tensor:
        return torch.from_numpy(arrays[name]).to(device)

    batch = [
        TrainSample(points=part(f"points{i}"), boxes=part(f"boxes{i}"), labels=part(f"labels{i}")) for i in range(count)
    ]
    comparable = cast(Engine, _TorchNormalisation(engine))
    for threshold, reference in description["runs"].items():
        network = _network(description, {}, device).train()
        # On one thread, rounding of float32 batch statistics makes weak pruning select other cells.
        with torch_threads(max(torch.get_num_threads(), 2)):
            losses = batch_losses(network, batch, TrainingConfig(prune_threshold=int(threshold)), comparable)
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


def _verify_gradients(title: str, gradients: dict[str, np.ndarray], reference: dict[str, Any]) -> Iterator[Comparison]:
    missing = sorted(set(reference) ^ set(gradients))
    yield Comparison(
        f"{title} parameters", not missing, f"{len(gradients)} gradients" + f", differ in {missing}" * bool(missing)
    )
    norms, products = {}, {}
    for name in set(reference) & set(gradients):
        norm, product_ = gradient_digest(name, gradients[name])
        wanted_norm, wanted_product = reference[name]
        norms[name] = abs(norm - wanted_norm) / wanted_norm
        products[name] = abs(product_ - wanted_product) / wanted_norm
    for part, errors, tolerance in (
        ("gradient norms", norms, GRADIENT_TOLERANCE),
        ("gradient directions", products, DIRECTION_TOLERANCE),
    ):
        worst = max(errors, key=errors.__getitem__)
        detail = f"worst {errors[worst]:.1e} (at most {tolerance:g}), {worst}"
        yield Comparison(f"{title} {part}", errors[worst] <= tolerance, detail)
