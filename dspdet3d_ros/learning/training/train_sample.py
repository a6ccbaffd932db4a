"""One labelled crop, ready for the network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TrainSample:
    """One scene of a batch, as tensors.

    Attributes:
        points: (N, 3) float32, metres.
        boxes: (K, 6) float32, centre and size, metres.
        labels: (K,) int64 class indices.
        tau: above 0, cells are pruned as the detector does at this τ, except those that must be kept.
    """

    points: Tensor
    boxes: Tensor
    labels: Tensor
    tau: float = 0.0

    def to(self, device: torch.device) -> TrainSample:
        """The same on a device."""
        return TrainSample(self.points.to(device), self.boxes.to(device), self.labels.to(device), self.tau)
