"""One labelled crop, ready for the network."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        ignore: (R, 6) float32, regions as centre and size, metres: what the network finds in them is neither right nor
            wrong.
    """

    points: Tensor
    boxes: Tensor
    labels: Tensor
    tau: float = 0.0
    ignore: Tensor = field(default_factory=lambda: torch.empty(0, 6))

    def to(self, device: torch.device) -> TrainSample:
        """The same on a device."""
        points, boxes, labels, ignore = (
            part.to(device) for part in (self.points, self.boxes, self.labels, self.ignore)
        )
        return TrainSample(points, boxes, labels, self.tau, ignore)
