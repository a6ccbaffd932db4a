"""The three losses (DSPDet3D, section 3.4)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from dspdet3d_ros.geometry import corners

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


class _FocalSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        with torch.enable_grad():
            positive = logits.detach()[rows, columns].requires_grad_()
            loss = focal_loss(positive, torch.ones_like(positive))
            (slope,) = torch.autograd.grad(loss.sum(), positive)
        probability = torch.sigmoid(logits)
        softplus = functional.softplus(logits)
        factor = probability.square().mul_(1 - ALPHA)
        losses = factor * softplus
        losses[rows, columns] = loss.detach()
        # Of (1 - α)·p²·softplus(x), whose factors have the slopes 2·p·(1 - p) and p.
        gradient = softplus.mul_(2).addcmul_(probability, softplus, value=-1).add_(probability).mul_(factor)
        gradient[rows, columns] = slope
        ctx.save_for_backward(gradient)
        return losses.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * gradient, None, None


def focal_sum(logits: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The sum of `focal_loss` over all logits, of which few have the target 1.

    Args:
        logits: (N, C).
        rows, columns: (P,) the places of the logits with the target 1, each once.
    """
    return _FocalSum.apply(logits, rows, columns)


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
