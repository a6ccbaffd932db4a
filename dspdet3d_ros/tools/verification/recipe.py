"""Weights and digests of the reference runs. They follow from names, so the reference files do not contain them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

#: The reference files contain the projection of wide features onto these four fixed directions.
_PROJECTION = np.random.default_rng(7).standard_normal((128, 4)).astype(np.float32)


def reference_weights(network: nn.Module, seed: int, statistics: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The weights of a reference run. Each is drawn from a generator with the seed of the run and its own name.

    Args:
        network: gives the names and shapes.
        seed: seed of the run.
        statistics: running statistics by name; they replace the drawn ones.
    """
    state = {}
    for name, tensor in network.state_dict().items():
        if name in statistics:
            state[name] = torch.from_numpy(np.asarray(statistics[name]))
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(1)
        else:
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            draw = rng.standard_normal(tuple(tensor.shape)).astype(np.float32)
            state[name] = torch.from_numpy(np.ascontiguousarray(_scaled(name, draw), np.float32))
    return state


def _scaled(name: str, draw: np.ndarray) -> np.ndarray:
    kernel = name.endswith("kernel")
    if name.endswith(("running_mean", "running_var")):
        return np.full_like(draw, float(name.endswith("running_var")))
    if name.endswith("bn.weight"):
        return 1 + 0.1 * draw
    if name.endswith("bn.bias"):
        return 0.1 * draw
    if "keep_conv" in name:
        return 0.12 * draw if kernel else 0.3 * draw + 0.2
    if "bbox_conv" in name:
        shift = np.array([0, 0, 0, 1.3, 1.3, 1.3], np.float32)
        return 0.02 * draw if kernel else 0.02 * draw - shift
    if "cls_conv" in name:
        return 0.03 * draw if kernel else 0.1 * draw - 3.0
    volume = draw.shape[0] if draw.ndim == 3 else 1
    return draw * np.sqrt(2 / (min(volume, 9) * draw.shape[-2]))


def digest(features: np.ndarray) -> np.ndarray:
    """The (N, 4) stored projection of (N, C) features."""
    return (features @ _PROJECTION[: features.shape[1]]).astype(np.float32)


def gradient_digest(name: str, gradient: np.ndarray) -> tuple[float, float]:
    """Norm of the gradient of a parameter, and its product with a direction that follows from the parameter's name."""
    rng = np.random.default_rng([5, zlib.crc32(name.encode())])
    direction = rng.standard_normal(gradient.shape).astype(np.float32)
    return float(np.linalg.norm(gradient)), float((gradient * direction).sum())
