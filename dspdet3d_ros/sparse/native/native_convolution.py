"""Convolutions with their epilogue, and their gradients, computed by the C library."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dspdet3d_ros.native.library import (
    BLOCK_CHANNELS,
    BlockConvolution,
    BlockWeightGradient,
    Convolution,
    WeightGradient,
    check,
    load,
    pointer,
)
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.sparse.coords import CoordinateSet
from dspdet3d_ros.sparse.kernel_map import KernelMap, kernel_map
from dspdet3d_ros.sparse.native.maps import WINDOW, search, windows_of
from dspdet3d_ros.sparse.native.packed_weights import PackedWeights
from dspdet3d_ros.sparse.parallel import worker_count

_FLOAT, _ROW = torch.float32, torch.int32
#: The cells that an output cell takes its inputs from: the (B, 64) windows of a convolution in blocks, the pairs of any
#: other one, or None for a matrix product, where each row is its own input.
Neighbours = Tensor | KernelMap | None


def neighbours_of(weight: Tensor, inputs: CoordinateSet, outputs: CoordinateSet) -> Tensor | KernelMap:
    """The windows of the convolution if it is one in blocks, else its pairs."""
    volume, c_in, c_out = weight.shape
    if inputs is outputs and volume == 27 and c_in % BLOCK_CHANNELS == 0 and c_out % BLOCK_CHANNELS == 0:
        windows = windows_of(inputs)
        if windows is not None:
            return windows
    return kernel_map(inputs, outputs, volume, search)


def multiply(
    isa: int,
    features: Tensor,
    packed: Tensor,
    channels: tuple[int, ...],
    neighbours: Neighbours,
    epilogue: Epilogue | None = None,
) -> Tensor:
    """`out[q] = Σ_k W_kᵀ · in[map(q, k)]`, then the epilogue; no gradients.

    Args:
        isa: number of the instruction set.
        features: (N_in, C_in) float32.
        packed: the packed weights, for these neighbours.
        channels: (C_in, C_out) of the weights.
        neighbours: of the N_out output cells.
        epilogue: see `Epilogue`.

    Returns:
        (N_out, C_out).
    """
    c_in, c_out = channels
    n_in, n_out, volume = len(features), len(features), 1
    if isinstance(neighbours, KernelMap):
        n_in, n_out, volume = neighbours.n_in, neighbours.n_out, neighbours.kernel_volume
    features, epilogue = features.contiguous(), epilogue or Epilogue()
    # They stay referenced until the call is over.
    bias, residual = (
        None if part is None else part.float().contiguous() for part in (epilogue.bias, epilogue.residual)
    )
    out = features.new_empty(n_out, c_out)
    addresses = (
        pointer(features, _FLOAT, n_in, c_in),
        packed.data_ptr(),
        pointer(bias, _FLOAT, c_out),
        pointer(residual, _FLOAT, n_out, c_out),
        pointer(out, _FLOAT, n_out, c_out),
        _address_of(neighbours),
    )
    if isinstance(neighbours, Tensor):
        blocks = BlockConvolution(*addresses, n_in, len(neighbours), c_in, c_out, epilogue.relu)
        check(load().native_convolve_blocks(isa, ctypes.byref(blocks), worker_count()))
    else:
        pairs = Convolution(*addresses, n_in, n_out, volume, c_in, c_out, epilogue.relu)
        check(load().native_convolve(isa, ctypes.byref(pairs), worker_count()))
    return out


def weight_gradient(isa: int, features: Tensor, gradient: Tensor, neighbours: Neighbours) -> Tensor:
    """(K, C_in, C_out): `Σ_q in[map(q, k)] · gradient[q]ᵀ`; all float32.

    Args:
        isa: number of the instruction set.
        features: (N_in, C_in).
        gradient: (N_out, C_out).
        neighbours: of the N_out output cells.
    """
    (n_in, c_in), (n_out, c_out) = features.shape, gradient.shape
    volume = neighbours.kernel_volume if isinstance(neighbours, KernelMap) else 1 if neighbours is None else 27
    features, gradient = features.contiguous(), gradient.contiguous()
    out = features.new_empty(volume, c_in, c_out)
    addresses = (
        pointer(features, _FLOAT, n_in, c_in),
        pointer(gradient, _FLOAT, n_out, c_out),
        pointer(out, _FLOAT, volume, c_in, c_out),
        _address_of(neighbours),
    )
    if isinstance(neighbours, Tensor):
        blocks = BlockWeightGradient(*addresses, n_in, len(neighbours), c_in, c_out)
        check(load().native_block_weight_gradient(isa, ctypes.byref(blocks), worker_count()))
    else:
        pairs = WeightGradient(*addresses, n_in, n_out, volume, c_in, c_out)
        check(load().native_weight_gradient(isa, ctypes.byref(pairs), worker_count()))
    return out


def _address_of(neighbours: Neighbours) -> int | None:
    if isinstance(neighbours, KernelMap):
        return pointer(neighbours.by_offset, _ROW, neighbours.kernel_volume, neighbours.n_out)
    return None if neighbours is None else pointer(neighbours, _ROW, len(neighbours), WINDOW)


class DifferentiableConvolution(torch.autograd.Function):
    """`multiply` with its gradients, those of the epilogue too."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        residual: Tensor | None,
        relu: bool,
        neighbours: Neighbours,
        weights: PackedWeights,
    ) -> Tensor:
        """(K, C_in, C_out) or (C_in, C_out) weights; for the rest see `multiply`."""
        packed = weights.pack(weight, isinstance(neighbours, Tensor))
        epilogue = Epilogue(bias, residual, relu)
        out = multiply(weights.isa, features, packed, weight.shape[-2:], neighbours, epilogue)
        ctx.save_for_backward(features, weight, out if relu else None)
        ctx.neighbours, ctx.weights = neighbours, weights
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients by features, weight, bias and residual."""
        features, weight, out = ctx.saved_tensors
        neighbours, weights = ctx.neighbours, ctx.weights
        if out is not None:
            gradient = torch.ops.aten.threshold_backward(gradient, out, 0)
        of_features, of_weight, of_bias = None, None, None
        if ctx.needs_input_grad[0]:
            packed = weights.pack(weight, isinstance(neighbours, Tensor), transposed=True)
            back = neighbours.transposed() if isinstance(neighbours, KernelMap) else neighbours
            of_features = multiply(weights.isa, gradient, packed, weight.shape[-2:][::-1], back)
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(weights.isa, features, gradient, neighbours).view_as(weight)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum(0)
        return of_features, of_weight, of_bias, gradient if ctx.needs_input_grad[3] else None, None, None, None
