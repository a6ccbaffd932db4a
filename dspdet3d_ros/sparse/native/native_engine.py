"""The engine of the C library."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.sparse.coords import CoordinateSet
from dspdet3d_ros.sparse.kernel_map import KernelMap, kernel_map
from dspdet3d_ros.sparse.native.library import (
    BLOCK_CHANNELS,
    ISAS,
    BlockConvolution,
    BlockWeightGradient,
    Convolution,
    WeightGradient,
    check,
    choose_isa,
    load,
    pointer,
)
from dspdet3d_ros.sparse.native.maps import WINDOW, NativeCoordinateSet, search, windows_of
from dspdet3d_ros.sparse.native.native_normalisation import Normalisation
from dspdet3d_ros.sparse.native.packed_weights import PackedWeights
from dspdet3d_ros.sparse.parallel import worker_count
from dspdet3d_ros.sparse.torch_rows import TorchRows, count_statistics

_FLOAT, _ROW = torch.float32, torch.int32


class NativeEngine(TorchRows):
    """The C library, on the CPU, in float32; on as many threads as torch has.

    Args:
        device: of the tensors: the CPU.

    Raises:
        InputError: the library was not built or cannot be loaded, or the device is not the CPU.
    """

    name = "native"
    coordinate_set = NativeCoordinateSet
    storage = torch.float32

    def __init__(self, device: torch.device | str = "cpu") -> None:
        if torch.device(device).type != "cpu":
            raise InputError(f"backend native: it runs on the CPU, got device {device}; use backend auto")
        self.isa = choose_isa()
        self._library = load()
        self._number = ISAS[self.isa]
        self._packed = PackedWeights(self._number)

    @property
    def kept(self) -> int:
        """The number of packed weights that are kept: those of weights that still exist."""
        return len(self._packed)

    def convolve(
        self,
        features: Tensor,
        weight: Tensor,
        inputs: CoordinateSet,
        outputs: CoordinateSet,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        """See `Engine.convolve`."""
        if torch.is_grad_enabled() and (features.requires_grad or weight.requires_grad):
            if epilogue is not None:
                raise NotImplementedError("an epilogue has no gradient")
            return _Convolution.apply(features.float(), weight.float(), inputs, outputs, self)
        windows = _windows(weight, inputs, outputs)
        if windows is not None:
            packed = self._packed.of(weight, in_blocks=True)
            return self._multiply_blocks(features.float(), packed, weight.shape[2], windows, epilogue)
        pairs = kernel_map(inputs, outputs, len(weight), search)
        packed = self._packed.of(weight, in_blocks=False)
        return self._multiply_pairs(features.float(), packed, tuple(weight.shape), pairs, epilogue)

    def multiply(self, features: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
        """See `Engine.multiply`."""
        if torch.is_grad_enabled() and (features.requires_grad or matrix.requires_grad):
            return super().multiply(features, matrix, bias)
        packed, shape = self._packed.of(matrix, in_blocks=False), (1, *matrix.shape)
        epilogue = Epilogue(None if bias is None else bias.reshape(-1))
        return self._multiply_pairs(features.float(), packed, shape, None, epilogue)

    def normalise(self, features: Tensor, norm: nn.BatchNorm1d, residual: Tensor | None, relu: bool) -> Tensor:
        """See `Engine.normalise`."""
        out, mean, variance = Normalisation.apply(
            features.float(), norm.weight, norm.bias, residual, relu, norm.eps, self._number
        )
        count_statistics(norm, mean, variance, len(features))
        return out

    def _multiply_pairs(
        self,
        features: Tensor,
        packed: Tensor,
        shape: tuple[int, ...],
        pairs: KernelMap | None,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        """`out[q] = Σ_k W_kᵀ · in[map(q, k)]`, then the epilogue; no gradients.

        Args:
            features: (N_in, C_in) float32.
            packed: the packed weights.
            shape: (K, C_in, C_out) of the weights.
            pairs: K offsets from N_in to N_out rows; None for K = 1 and each row to itself.
            epilogue: see `Epilogue`.
        """
        volume, c_in, c_out = shape
        n_in, n_out = (len(features), len(features)) if pairs is None else (pairs.n_in, pairs.n_out)
        features = features.contiguous()
        bias, residual, relu = _parts(epilogue)
        out = features.new_empty(n_out, c_out)
        arguments = Convolution(
            pointer(features, _FLOAT, n_in, c_in),
            packed.data_ptr(),
            pointer(bias, _FLOAT, c_out),
            pointer(residual, _FLOAT, n_out, c_out),
            pointer(out, _FLOAT, n_out, c_out),
            None if pairs is None else pointer(pairs.by_offset, _ROW, volume, n_out),
            *(n_in, n_out, volume, c_in, c_out, relu),
        )
        check(self._library.native_convolve(self._number, ctypes.byref(arguments), worker_count()))
        return out

    def _multiply_blocks(
        self, features: Tensor, packed: Tensor, c_out: int, windows: Tensor, epilogue: Epilogue | None = None
    ) -> Tensor:
        """The same for (N, C_in) features on the cells of blocks, which (B, 64) windows describe."""
        rows, c_in = features.shape
        features = features.contiguous()
        bias, residual, relu = _parts(epilogue)
        out = features.new_empty(rows, c_out)
        arguments = BlockConvolution(
            pointer(features, _FLOAT, rows, c_in),
            packed.data_ptr(),
            pointer(bias, _FLOAT, c_out),
            pointer(residual, _FLOAT, rows, c_out),
            pointer(out, _FLOAT, rows, c_out),
            pointer(windows, _ROW, len(windows), WINDOW),
            *(rows, len(windows), c_in, c_out, relu),
        )
        check(self._library.native_convolve_blocks(self._number, ctypes.byref(arguments), worker_count()))
        return out

    def _weight_gradient(self, features: Tensor, gradient: Tensor, pairs: KernelMap) -> Tensor:
        """(K, C_in, C_out): `Σ_q in[map(q, k)] · gradient[q]ᵀ`; all float32."""
        volume, c_in, c_out = pairs.kernel_volume, features.shape[1], gradient.shape[1]
        out = features.new_empty(volume, c_in, c_out)
        features, gradient = features.contiguous(), gradient.contiguous()
        arguments = WeightGradient(
            pointer(features, _FLOAT, pairs.n_in, c_in),
            pointer(gradient, _FLOAT, pairs.n_out, c_out),
            pointer(out, _FLOAT, volume, c_in, c_out),
            pointer(pairs.by_offset, _ROW, volume, pairs.n_out),
            *(pairs.n_in, pairs.n_out, volume, c_in, c_out),
        )
        check(self._library.native_weight_gradient(self._number, ctypes.byref(arguments), worker_count()))
        return out

    def _block_weight_gradient(self, features: Tensor, gradient: Tensor, windows: Tensor) -> Tensor:
        """The same of a convolution in blocks, which (B, 64) windows describe: (27, C_in, C_out)."""
        (rows, c_in), c_out = features.shape, gradient.shape[1]
        out = features.new_empty(27, c_in, c_out)
        features, gradient = features.contiguous(), gradient.contiguous()
        arguments = BlockWeightGradient(
            pointer(features, _FLOAT, rows, c_in),
            pointer(gradient, _FLOAT, rows, c_out),
            pointer(out, _FLOAT, 27, c_in, c_out),
            pointer(windows, _ROW, len(windows), WINDOW),
            *(rows, len(windows), c_in, c_out),
        )
        check(self._library.native_block_weight_gradient(self._number, ctypes.byref(arguments), worker_count()))
        return out


def _parts(epilogue: Epilogue | None) -> tuple[Tensor | None, Tensor | None, bool]:
    """Bias, residual and ReLU as the library takes them."""
    epilogue = epilogue or Epilogue()
    bias = None if epilogue.bias is None else epilogue.bias.float().contiguous()
    residual = None if epilogue.residual is None else epilogue.residual.float().contiguous()
    return bias, residual, epilogue.relu


def _windows(weight: Tensor, inputs: CoordinateSet, outputs: CoordinateSet) -> Tensor | None:
    """The (B, 64) windows of the convolution if it is one in blocks, else None."""
    volume, c_in, c_out = weight.shape
    if inputs is not outputs or volume != 27 or c_in % BLOCK_CHANNELS or c_out % BLOCK_CHANNELS:
        return None
    return windows_of(inputs)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, inputs: CoordinateSet, outputs: CoordinateSet, engine: NativeEngine
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.inputs, ctx.outputs, ctx.engine = inputs, outputs, engine
        windows = _windows(weight, inputs, outputs)
        packed = engine._packed.pack(weight, windows is not None)
        if windows is not None:
            return engine._multiply_blocks(features, packed, weight.shape[2], windows)
        pairs = kernel_map(inputs, outputs, len(weight), search)
        return engine._multiply_pairs(features, packed, tuple(weight.shape), pairs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        engine, inputs, outputs = ctx.engine, ctx.inputs, ctx.outputs
        volume, c_in, c_out = weight.shape
        in_gradient, of_weight = None, None
        windows = _windows(weight, inputs, outputs)
        if ctx.needs_input_grad[0]:
            packed = engine._packed.pack(weight, windows is not None, transposed=True)
            if windows is not None:
                in_gradient = engine._multiply_blocks(gradient, packed, c_in, windows)
            else:
                pairs = kernel_map(inputs, outputs, volume, search).transposed()
                in_gradient = engine._multiply_pairs(gradient, packed, (volume, c_out, c_in), pairs)
        if ctx.needs_input_grad[1]:
            if windows is not None:
                of_weight = engine._block_weight_gradient(features, gradient, windows)
            else:
                of_weight = engine._weight_gradient(features, gradient, kernel_map(inputs, outputs, volume, search))
        return in_gradient, of_weight, None, None, None
