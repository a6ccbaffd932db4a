"""Batch normalisation with its addition and ReLU, and their gradients, computed by the C library."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dspdet3d_ros.native.library import Norm, NormGradient, check, load, pointer
from dspdet3d_ros.sparse.parallel import worker_count

_FLOAT = torch.float32


class Normalisation(torch.autograd.Function):
    """`norm` with its gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        residual: Tensor | None,
        relu: bool,
        epsilon: float,
        isa: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `norm`."""
        out, mean, variance = norm(isa, features, weight, bias, residual, relu, epsilon)
        ctx.save_for_backward(features, out if relu else None, weight, mean, variance)
        ctx.epsilon, ctx.isa = epsilon, isa
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """See `norm_gradient`."""
        features, out, weight, mean, variance = ctx.saved_tensors
        gradients = norm_gradient(
            ctx.isa, features, out, gradient, weight, (mean, variance), ctx.needs_input_grad[3], ctx.epsilon
        )
        return (*gradients, None, None, None)


def norm(
    isa: int, features: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, relu: bool, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalisation, `+ residual` and ReLU; no gradients.

    Args:
        isa: number of the instruction set.
        features: (N, C).
        weight, bias: (C,).
        residual: (N, C), or None.
        relu: whether negative values become 0.
        epsilon: added to the variance.

    Returns:
        (N, C), and (C,) the mean and the variance of the features.
    """
    rows, channels = features.shape
    features, out = features.contiguous(), torch.empty(rows, channels)
    residual = None if residual is None else residual.float().contiguous()
    mean, variance = torch.empty(channels), torch.empty(channels)
    arguments = Norm(
        pointer(features, _FLOAT, rows, channels),
        pointer(weight, _FLOAT, channels),
        pointer(bias, _FLOAT, channels),
        pointer(residual, _FLOAT, rows, channels),
        pointer(out, _FLOAT, rows, channels),
        *(pointer(statistic, _FLOAT, channels) for statistic in (mean, variance)),
        *(rows, channels, relu, epsilon),
    )
    check(load().native_norm(isa, ctypes.byref(arguments), worker_count()))
    return out, mean, variance


def norm_gradient(
    isa: int,
    features: Tensor,
    out: Tensor | None,
    gradient: Tensor,
    weight: Tensor,
    statistics: tuple[Tensor, Tensor],
    of_residual: bool,
    epsilon: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The gradients of `norm` by the features, the weight, the bias and, if asked for, the residual.

    Args:
        isa: number of the instruction set.
        features, gradient: (N, C).
        out: (N, C) the result, or None where no ReLU was applied.
        weight: (C,).
        statistics: (C,) mean and variance.
        of_residual: whether the gradient by the residual is wanted.
        epsilon: added to the variance.
    """
    rows, channels = features.shape
    features, gradient = features.contiguous(), gradient.contiguous()
    in_gradient, of_weight, of_bias = torch.empty(rows, channels), torch.empty(channels), torch.empty(channels)
    clipped = torch.empty(rows, channels) if of_residual and out is not None else None
    arguments = NormGradient(
        *(pointer(tensor, _FLOAT, rows, channels) for tensor in (features, out, gradient)),
        *(pointer(tensor, _FLOAT, channels) for tensor in (weight, *statistics)),
        *(pointer(tensor, _FLOAT, rows, channels) for tensor in (in_gradient, clipped)),
        *(pointer(tensor, _FLOAT, channels) for tensor in (of_weight, of_bias)),
        *(rows, channels, epsilon),
    )
    check(load().native_norm_gradient(isa, ctypes.byref(arguments), worker_count()))
    return in_gradient, of_weight, of_bias, gradient if of_residual and out is None else clipped
