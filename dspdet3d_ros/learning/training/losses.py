"""The three losses (DSPDet3D, section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from dspdet3d_ros.detector.boxes import corners

GAMMA = 2.0
ALPHA = 0.25


def focal_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Sigmoid focal loss (Lin et al. 2017), γ = 2, α = 0.25, element by element.

    Args:
        logits: any shape.
        targets: 0 or 1, of the same shape.
    """
    probability = torch.sigmoid(logits)
    miss = targets * (1 - probability) + (1 - targets) * probability
    weight = (targets * ALPHA + (1 - targets) * (1 - ALPHA)) * miss**GAMMA
    return weight * functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


def diou_loss(boxes: Tensor, targets: Tensor) -> Tensor:
    """(N,) distance-IoU loss: 1 − IoU + (centre distance)² / (diagonal of the enclosing box)².

    Args:
        boxes: (N, 6) centre and size.
        targets: (N, 6).
    """
    (low_a, high_a), (low_b, high_b) = corners(boxes), corners(targets)
    shared = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(min=0).prod(1)
    union = boxes[:, 3:].prod(1) + targets[:, 3:].prod(1) - shared
    distance = (boxes[:, :3] - targets[:, :3]).square().sum(1)
    diagonal = (torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)).square().sum(1)
    return 1 - shared / union.clamp(min=1e-12) + distance / diagonal.clamp(min=1e-12)
