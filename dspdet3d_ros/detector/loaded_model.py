"""Models from files: device, weights and classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dspdet3d_ros import defaults
from dspdet3d_ros.detector.checkpoint import load_weights, read_checkpoint, sha256, trained_model
from dspdet3d_ros.detector.config import ModelConfig, load_model_config
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.released import released_config
from dspdet3d_ros.errors import InputError


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights.

    Attributes:
        config: the model.
        network: the network, on the CPU if it comes from a file.
        name: of the model, for messages.
        sha256: hash of the weight file; empty for a network without a file.
    """

    config: ModelConfig
    network: DSPDet3D
    name: str
    sha256: str = ""


def load_model(model: str = defaults.MODEL, checkpoint: str | Path | None = None) -> LoadedModel:
    """Reads a model and its weights; see `Detector.load`.

    Raises:
        InputError: the model or the checkpoint cannot be used.
    """
    config = load_model_config(model)
    path = _weights_path(model, config, checkpoint)
    contents = read_checkpoint(path)
    # The model file decides for its own weights, also on thresholds; other weights contain their own settings.
    if checkpoint:
        config, model = _config_of(contents, path, model)
    network = DSPDet3D(config)
    load_weights(network, contents["state_dict"], str(path))
    return LoadedModel(config, network, model, sha256(path))


def choose_device(device: str) -> torch.device:
    """The torch device of that name; "auto" is CUDA if there is one.

    Raises:
        InputError: the device is unknown or not there.
    """
    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise InputError(f"device: expected auto, cpu, cuda or cuda:n, got {device!r}") from None
    if chosen.type == "cuda":
        count = torch.cuda.device_count()
        if not torch.cuda.is_available() or (chosen.index or 0) >= count:
            raise InputError(
                f"device: {device!r} is not there: torch {torch.__version__} sees {count} CUDA devices; "
                "use cpu or auto, or install a CUDA build of torch and its driver"
            )
        return torch.device("cuda", chosen.index or 0)
    if chosen.type != "cpu":
        raise InputError(f"device: expected auto, cpu, cuda or cuda:n, got {device!r}")
    return chosen


def _config_of(contents: dict[str, Any], path: Path, model: str) -> tuple[ModelConfig, str]:
    """Configuration and name of the model that a checkpoint was trained as."""
    trained = trained_model(contents, str(path))
    if trained is not None:
        return trained, str(contents.get("model_name", model))
    return released_config(contents, str(path), None if model == defaults.MODEL else model)


def _weights_path(model: str, config: ModelConfig, checkpoint: str | Path | None) -> Path:
    if checkpoint:
        return Path(checkpoint)
    if config.weights is None:
        raise InputError(f"model {model}: comes without weights; name a checkpoint file")
    own = defaults.DATA / config.weights
    return own if own.is_file() else Path(config.weights)
