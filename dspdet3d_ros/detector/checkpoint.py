"""Weight files, read without running code in them."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.errors import InputError, text_of, unwritable
from dspdet3d_ros.output_files import writing_whole

_FAULTS_LISTED = 12


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The contents of a checkpoint: at least `state_dict`, a mapping from names to tensors.

    Raises:
        InputError: the file is absent, truncated, holds more than plain data, or has no `state_dict`.
    """
    if not os.path.isfile(path):
        raise InputError(f"checkpoint {path}: no such file; name a weight file, or none for the model's own")
    try:
        with warnings.catch_warnings():
            # Not as a warning: the error below says if the pickle has an unusual protocol.
            warnings.simplefilter("ignore")
            # From memory: a wrong length in a damaged file cannot request more than the file has.
            contents = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many types; each means that the file cannot be used
        reason = text_of(error)[:200]
        raise InputError(
            f"checkpoint {path}: expected a torch file of plain tensors and values; "
            f"it is damaged or holds code: {reason}"
        ) from None
    state = contents.get("state_dict") if isinstance(contents, dict) else None
    plain = isinstance(state, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    if not plain:
        raise InputError(
            f"checkpoint {path}: expected a mapping with 'state_dict', names to tensors; name another file"
        )
    return contents


def trained_model(contents: dict[str, Any], source: str) -> ModelConfig | None:
    """The model that a checkpoint was trained as, or None; original checkpoints do not contain it.

    Raises:
        InputError: what it says cannot be used.
    """
    values = contents.get("model")
    if not isinstance(values, dict):
        return None
    try:
        return ModelConfig.from_dict(values)
    except InputError as error:
        raise InputError(f"checkpoint {source}: model: {error}; name other weights") from error


def load_weights(network: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Loads a state into a network. All names and shapes must match, and all values be finite in the network's type.

    Raises:
        InputError: lists what is missing, unexpected, misshapen or not finite.
    """
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    own = network.state_dict()
    faults = [f"missing {name}" for name in own if name not in state]
    faults += [f"unexpected {name}" for name in state if name not in own]
    faults += [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    faults += [
        f"{name} holds values that are not finite"
        for name, tensor in own.items()
        # A float64 may be finite and too large for the network.
        if name in state and not torch.isfinite(state[name].to(tensor.dtype)).all()
    ]
    if faults:
        more = f" and {len(faults) - _FAULTS_LISTED} more" if len(faults) > _FAULTS_LISTED else ""
        raise InputError(
            f"checkpoint {source} does not fit the model: {', '.join(faults[:_FAULTS_LISTED])}{more}; "
            "name the model it was trained as, or other weights"
        )
    network.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in state.items()})


def save_checkpoint(path: Path, contents: dict[str, Any]) -> None:
    """Writes a checkpoint in one step: a file of that name is always complete.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with writing_whole(path) as part, open(part, "wb") as file:
            torch.save(contents, file)
    except RuntimeError as error:  # torch reports errors of its writer in this way
        raise unwritable(path, error) from error
