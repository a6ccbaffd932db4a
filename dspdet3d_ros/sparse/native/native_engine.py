"""The engine of the C library."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.sparse.coords import CoordinateSet
from dspdet3d_ros.sparse.kernel_map import KernelMap, kernel_map
from dspdet3d_ros.sparse.native.library import (
    ISAS,
    Convolution,
    Norm,
    NormGradient,
    WeightGradient,
    check,
    choose_isa,
    load,
    pointer,
)
from dspdet3d_ros.sparse.native.maps import NativeCoordinateSet, search
from dspdet3d_ros.sparse.normalisation import count_statistics
from dspdet3d_ros.sparse.parallel import worker_count

_ALIGNMENT = 64
_FLOAT, _ROW = torch.float32, torch.int32
#: One of this number of weights is in the sample that detects changes; a prime, so that it meets every channel.
_SAMPLED = 61


class NativeEngine:
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
        self._packed: dict[int, tuple[weakref.ref, tuple[int, float], Tensor]] = {}

    @property
    def kept(self) -> int:
        """The number of weights whose packed copy is kept: those that still exist."""
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
        pairs = kernel_map(inputs, outputs, len(weight), search)
        if torch.is_grad_enabled() and (features.requires_grad or weight.requires_grad):
            if epilogue is not None:
                raise NotImplementedError("an epilogue has no gradient")
            return _Convolution.apply(features.float(), weight.float(), pairs, self)
        return self.multiply(features.float(), self._packed_once(weight), weight.shape, pairs, epilogue)

    def normalise(self, features: Tensor, norm: nn.BatchNorm1d, residual: Tensor | None, relu: bool) -> Tensor:
        """See `Engine.normalise`."""
        out, mean, variance = _Normalisation.apply(
            features.float(), norm.weight, norm.bias, residual, relu, norm.eps, self
        )
        count_statistics(norm, mean, variance, len(features))
        return out

    def norm(
        self, features: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, relu: bool, epsilon: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Batch normalisation, `+ residual` and ReLU; no gradients.

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
        check(self._library.native_norm(self._number, ctypes.byref(arguments), worker_count()))
        return out, mean, variance

    def norm_gradient(
        self,
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
            out: what came out, or None where no ReLU was applied.
            statistics: mean and variance.
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
        check(self._library.native_norm_gradient(self._number, ctypes.byref(arguments), worker_count()))
        return in_gradient, of_weight, of_bias, gradient if of_residual and out is None else clipped

    def multiply(
        self,
        features: Tensor,
        packed: Tensor,
        shape: torch.Size | tuple[int, int, int],
        pairs: KernelMap,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        """`out[q] = Σ_k W_kᵀ · in[map(q, k)]`, then the epilogue; no gradients.

        Args:
            features: (N_in, C_in) float32.
            packed: the weights as `pack` returns them.
            shape: (K, C_in, C_out) of the weights.
            pairs: K offsets from N_in to N_out rows.
            epilogue: see `Epilogue`.
        """
        volume, c_in, c_out = shape
        epilogue = epilogue or Epilogue()
        features = features.contiguous()
        bias = None if epilogue.bias is None else epilogue.bias.float().contiguous()
        residual = None if epilogue.residual is None else epilogue.residual.float().contiguous()
        out = features.new_empty(pairs.n_out, c_out)
        arguments = Convolution(
            pointer(features, _FLOAT, pairs.n_in, c_in),
            packed.data_ptr(),
            pointer(bias, _FLOAT, c_out),
            pointer(residual, _FLOAT, pairs.n_out, c_out),
            pointer(out, _FLOAT, pairs.n_out, c_out),
            pointer(pairs.by_offset, _ROW, volume, pairs.n_out),
            *(pairs.n_in, pairs.n_out, volume, c_in, c_out, epilogue.relu),
        )
        check(self._library.native_convolve(self._number, ctypes.byref(arguments), worker_count()))
        return out

    def weight_gradient(self, features: Tensor, gradient: Tensor, pairs: KernelMap) -> Tensor:
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

    def pack(self, weight: Tensor, transposed: bool = False) -> Tensor:
        """(K, C_in, C_out) weights in the order of the kernels; `transposed`: (K, C_out, C_in) weights."""
        weight = weight.float().contiguous()
        volume, c_in, c_out = weight.shape
        address = pointer(weight, _FLOAT, volume, c_in, c_out)
        if transposed:
            c_in, c_out = c_out, c_in
        size = check(self._library.native_packed_size(self._number, volume, c_in, c_out))
        spare = weight.new_empty(size + _ALIGNMENT // 4)
        start = -spare.data_ptr() % _ALIGNMENT // 4
        packed = spare[start : start + size]
        check(self._library.native_pack(self._number, address, volume, c_in, c_out, transposed, packed.data_ptr()))
        return packed

    def _packed_once(self, weight: Tensor) -> Tensor:
        """The packed weights, kept as long as the weights are and do not change."""
        state = _state_of(weight)
        key = id(weight)
        if key in self._packed:
            known, at, packed = self._packed[key]
            if known() is weight and at == state:
                return packed
        packed = self.pack(weight)
        self._packed[key] = (weakref.ref(weight, lambda _: self._packed.pop(key, None)), state, packed)
        return packed


def _state_of(weight: Tensor) -> tuple[int, float]:
    """Changes with the weights: torch's count of changes, and the sum of a sample of the weights.

    The count misses what is written through `.data`, as averages of weights are, and there is none in inference mode.
    The sample is small, since packing itself takes only a millisecond for all weights.
    """
    version = -1 if weight.is_inference() else weight._version
    return version, float(weight.detach().reshape(-1)[::_SAMPLED].float().numpy().sum())


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, pairs: KernelMap, engine: NativeEngine) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.pairs, ctx.engine = pairs, engine
        return engine.multiply(features, engine.pack(weight), weight.shape, pairs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, weight = ctx.saved_tensors
        engine, pairs = ctx.engine, ctx.pairs
        volume, c_in, c_out = weight.shape
        in_gradient, of_weight = None, None
        if ctx.needs_input_grad[0]:
            packed = engine.pack(weight, transposed=True)
            in_gradient = engine.multiply(gradient, packed, (volume, c_out, c_in), pairs.transposed())
        if ctx.needs_input_grad[1]:
            of_weight = engine.weight_gradient(features, gradient, pairs)
        return in_gradient, of_weight, None, None


class _Normalisation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        residual: Tensor | None,
        relu: bool,
        epsilon: float,
        engine: NativeEngine,
    ) -> tuple[Tensor, Tensor, Tensor]:
        out, mean, variance = engine.norm(features, weight, bias, residual, relu, epsilon)
        ctx.save_for_backward(features, out if relu else None, weight, mean, variance)
        ctx.epsilon, ctx.engine = epsilon, engine
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        features, out, weight, mean, variance = ctx.saved_tensors
        gradients = ctx.engine.norm_gradient(
            features, out, gradient, weight, (mean, variance), ctx.needs_input_grad[3], ctx.epsilon
        )
        return (*gradients, None, None, None)
