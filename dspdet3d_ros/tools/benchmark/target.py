"""The benchmark target: a model with its weights, on any of the engines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from dspdet3d_ros.defaults import ORACLE
from dspdet3d_ros.detector.checkpoint import save_checkpoint
from dspdet3d_ros.detector.config import ModelConfig, load_model_config
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.result import DetectionSettings
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.tools.verification.comparison import read_reference
from dspdet3d_ros.tools.verification.recipe import reference_weights

#: Contains the batch norm statistics of the reference network.
REFERENCE = ORACLE / "e2e.npz"
_REFERENCE_SEED = 1


@dataclass(frozen=True)
class BenchmarkTarget:
    """The model to measure.

    Attributes:
        model: name of a model or path of a model file.
        checkpoint: weight file, or None for the model's own weights.
        device: as for `Detector.load`.
        pruning_threshold: τ, or None for the model's own.
        precision: as for `Detector.load`. Engines without fp16 use their own.
        views: number of views, or None for the model's own.
    """

    model: str
    checkpoint: Path | None
    device: str
    pruning_threshold: float | None
    precision: str = "auto"
    views: int | None = None

    def load(self, backend: str) -> Detector:
        """The detector on an engine.

        Raises:
            InputError: model, weights, device or engine cannot be used.
        """
        precision = "auto" if self.precision == "fp16" and backend != "triton" else self.precision
        return Detector.load(self.model, self.checkpoint, self.device, backend, precision=precision)

    def settings(self, detector: Detector) -> DetectionSettings:
        """The settings to measure with."""
        return detector.default_settings().with_given(pruning_threshold=self.pruning_threshold, views=self.views)


@contextmanager
def with_weights(target: BenchmarkTarget) -> Iterator[BenchmarkTarget]:
    """The target with a weight file. A model without weights gets those of the reference network.

    Those are seeded random weights. Their activations are as large as those of a trained network, and they prune about
    half of the cells at τ = 0.3.

    Raises:
        InputError: the model has no weights and its widths differ from those of the reference network.
    """
    config = load_model_config(target.model)
    if target.checkpoint is not None or config.weights is not None:
        yield target
        return
    with TemporaryDirectory(prefix="dspdet3d_benchmark_") as folder:
        path = Path(folder) / "reference.pth"
        contents = {"state_dict": _reference_state(config), "model": config.to_dict(), "model_name": target.model}
        save_checkpoint(path, contents)
        yield replace(target, checkpoint=path)


def _reference_state(config: ModelConfig) -> dict[str, torch.Tensor]:
    arrays = read_reference(REFERENCE)
    statistics = {name.removeprefix("bn/"): array for name, array in arrays.items() if name.startswith("bn/")}
    network = DSPDet3D(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if any(shapes.get(name) != array.shape for name, array in statistics.items()):
        raise InputError(
            "--checkpoint: the model has no weights, and random ones exist only for the widths of the published "
            "network; name a weight file"
        )
    return reference_weights(network, _REFERENCE_SEED, statistics)
