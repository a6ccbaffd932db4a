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

    For targets between 0 and 1 it is the quality focal loss (Li et al. 2020), with α and 1 - α mixed by the target.

    Args:
        logits: any shape.
        targets: 0 to 1, of the same shape.
    """
    probability = torch.sigmoid(logits)
    weight = (targets * ALPHA + (1 - targets) * (1 - ALPHA)) * (targets - probability) ** GAMMA
    return weight * functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


class _FocalSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, rows: Tensor, columns: Tensor, targets: Tensor) -> Tensor:
        with torch.enable_grad():
            positive = logits.detach()[rows, columns].requires_grad_()
            loss = focal_loss(positive, targets.to(positive.dtype))
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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * gradient, None, None, None


def focal_sum(logits: Tensor, rows: Tensor, columns: Tensor, targets: Tensor) -> Tensor:
    """The sum of `focal_loss` over all logits, of which few have a target above 0.

    Args:
        logits: (N, C).
        rows, columns: (P,) the places of the logits with a target above 0, each once.
        targets: (P,) these targets.
    """
    return _FocalSum.apply(logits, rows, columns, targets)


def overlaps_and_distances(boxes: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) IoU, and (N,) distance-IoU loss: 1 − IoU + (centre distance)² / (diagonal of the enclosing box)².

    Args:
        boxes: (N, 6) centre and size.
        targets: (N, 6).
    """
    (low_a, high_a), (low_b, high_b) = corners(boxes), corners(targets)
    shared = (torch.minimum(high_a, high_b) - torch.maximum(low_a, low_b)).clamp(min=0).prod(1)
    union = boxes[:, 3:].prod(1) + targets[:, 3:].prod(1) - shared
    distance = (boxes[:, :3] - targets[:, :3]).square().sum(1)
    diagonal = (torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)).square().sum(1)
    iou = shared / union.clamp(min=1e-12)
    return iou, 1 - iou + distance / diagonal.clamp(min=1e-12)
