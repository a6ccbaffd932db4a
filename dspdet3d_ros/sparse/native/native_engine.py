"""The engine of the C library."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.native.library import ISAS, choose_isa
from dspdet3d_ros.sparse.convolution import Epilogue, wants_gradient
from dspdet3d_ros.sparse.coords import CoordinateSet
from dspdet3d_ros.sparse.native.maps import NativeCoordinateSet
from dspdet3d_ros.sparse.native.native_convolution import (
    DifferentiableConvolution,
    Neighbours,
    multiply,
    neighbours_of,
)
from dspdet3d_ros.sparse.native.native_normalisation import Normalisation
from dspdet3d_ros.sparse.native.packed_weights import PackedWeights
from dspdet3d_ros.sparse.torch_rows import count_statistics


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
        return self._product(features, weight, neighbours_of(weight, inputs, outputs), epilogue or Epilogue())

    def multiply(self, features: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
        """See `Engine.multiply`."""
        return self._product(features, matrix, None, Epilogue(None if bias is None else bias.reshape(-1)))

    def normalise(self, features: Tensor, norm: nn.BatchNorm1d, residual: Tensor | None, relu: bool) -> Tensor:
        """See `Engine.normalise`."""
        out, mean, variance = Normalisation.apply(
            features.float(), norm.weight, norm.bias, residual, relu, norm.eps, self._number
        )
        count_statistics(norm, mean, variance, len(features))
        return out

    def _product(self, features: Tensor, weight: Tensor, neighbours: Neighbours, epilogue: Epilogue) -> Tensor:
        if wants_gradient(features, weight, epilogue):
            parts = (epilogue.bias, epilogue.residual, epilogue.relu)
            return DifferentiableConvolution.apply(features.float(), weight.float(), *parts, neighbours, self._packed)
        packed = self._packed.of(weight, in_blocks=isinstance(neighbours, Tensor))
        return multiply(self._number, features.float(), packed, weight.shape[-2:], neighbours, epilogue)
