"""Time of the forward and backward pass of a training step on one scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.learning.training.objective import Losses, batch_losses
from dspdet3d_ros.learning.training.precision import PRODUCT_TYPES, choose_precision
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.learning.training.training_config import load_training_config
from dspdet3d_ros.sparse import choose_backend, training_engine
from dspdet3d_ros.system import keep_freed_memory
from dspdet3d_ros.tools.benchmark.samples import milliseconds, summary
from dspdet3d_ros.tools.benchmark.target import BenchmarkTarget

POINTS = 100_000
_SEED = 0
Result = TypeVar("Result")


def measure_training(
    target: BenchmarkTarget, backend: str, repeats: int, warmup: int, points: int = POINTS
) -> dict[str, Any]:
    """Milliseconds of the forward pass (with losses) and the backward pass on a generated room.

    For the backend that "auto" chooses, engine and precision are those in which `dspdet3d train` trains here.

    Returns:
        `precision`, `forward_ms`, `backward_ms`, and `ratio`: the sum of the medians divided by that of the forward
        pass.

    Raises:
        InputError: model, weights, device or engine cannot be used, or a library for generating is missing.
    """
    detector = target.load(backend)
    device = torch.device(detector.device)
    scene = _scene(detector.class_names, points, device)
    config = load_training_config(target.model)
    # The number of cells does not depend on the weights, because a training step does not prune by τ here.
    torch.manual_seed(_SEED)
    keep_freed_memory()
    network = DSPDet3D(detector.config, config.initial_size).to(device).train()
    engine, precision = detector.engine, "fp32"
    if backend in ("auto", choose_backend(device)[0]):
        precision = choose_precision(config.precision, device, detector.config.widths[0]).name
        engine = training_engine(device, PRODUCT_TYPES[precision])

    def forward() -> Losses:
        network.zero_grad(set_to_none=True)
        return batch_losses(network, [scene], config, engine)

    spent: dict[str, list[float]] = {"forward": [], "backward": []}
    for number in range(warmup + repeats):
        ms, losses = _timed(forward, device)
        backward_ms, _ = _timed(losses.total.backward, device)
        if number >= warmup:
            spent["forward"].append(ms)
            spent["backward"].append(backward_ms)
    ms_of = {name: summary(samples) for name, samples in spent.items()}
    return {
        "points": len(scene.points),
        "precision": precision,
        "forward_ms": ms_of["forward"],
        "backward_ms": ms_of["backward"],
        "ratio": 1 + ms_of["backward"]["median"] / ms_of["forward"]["median"],
    }


def _timed(work: Callable[[], Result], device: torch.device) -> tuple[float, Result]:
    results: list[Result] = []
    ms = milliseconds(lambda: results.append(work()), device)
    return ms, results[0]


def _scene(class_names: tuple[str, ...], points: int, device: torch.device) -> TrainSample:
    from dspdet3d_ros.learning.generation.scene import generate_scene, thinned

    scene = thinned(generate_scene(_SEED, "room"), points, _SEED)
    known = [k for k, name in enumerate(scene.names) if name in class_names]
    labels = [class_names.index(scene.names[k]) for k in known]
    boxes = torch.from_numpy(scene.boxes[known])
    return TrainSample(
        torch.from_numpy(scene.xyz).to(device), boxes.to(device), torch.tensor(labels, dtype=torch.int64).to(device)
    )


def table(values: dict[str, Any]) -> str:
    """The figures in one line."""
    return (
        f"training on {values['points']} points in {values['precision']}: "
        f"forward {values['forward_ms']['median']:.0f} ms, "
        f"backward {values['backward_ms']['median']:.0f} ms; both take {values['ratio']:.2f} times the forward pass"
    )
