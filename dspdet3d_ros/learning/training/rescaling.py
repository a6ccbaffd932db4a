"""Weights for another voxel size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor


def for_voxel_size(state: Mapping[str, Tensor], ratio: float) -> dict[str, Tensor]:
    """The weights of a network, changed so that it finds in small voxels what it found in large ones.

    In a cloud that is smaller by the ratio, the result finds boxes that are smaller by the ratio: its first convolution
    multiplies the positions and heights that it receives, and its boxes are divided. All other layers keep their
    weights, so that they receive what they were trained with.

    Args:
        state: the weights, by the names of `DSPDet3D`; names that are not there are left out.
        ratio: the voxel size that they were trained with, divided by the new one.
    """
    new = dict(state)
    for name, change in _CHANGES.items():
        if name in state:
            new[name] = change(state[name].to(torch.float32), ratio)
    return new


def _smaller(values: Tensor, ratio: float) -> Tensor:
    """(…, 6) of the box branch: offsets in metres are divided, logarithms of sizes stay."""
    return torch.cat([values[..., :3] / ratio, values[..., 3:]], -1)


def _smaller_with_sizes(values: Tensor, ratio: float) -> Tensor:
    """The same for its bias, which the logarithms of sizes are shifted by."""
    return torch.cat([values[..., :3] / ratio, values[..., 3:] - math.log(ratio)], -1)


def _larger(values: Tensor, ratio: float) -> Tensor:
    """Of the first convolution: what it receives is smaller."""
    return values * ratio


_CHANGES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "backbone.conv1.kernel": _larger,
    "head.bbox_conv.kernel": _smaller,
    "head.bbox_conv.bias": _smaller_with_sizes,
}
