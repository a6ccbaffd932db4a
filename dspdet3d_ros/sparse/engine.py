"""The small interface behind which the convolutions run."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse.convolution import Epilogue, convolve, gather_multiply
from dspdet3d_ros.sparse.coords import CoordinateSet
from dspdet3d_ros.sparse.kernel_map import kernel_map


class Engine(Protocol):
    """Computes sparse convolutions.

    The two coordinate sets say which one: outputs of the same stride are a stride-1 convolution, of twice the stride a
    stride-2 one, of half the stride a generative transposed one. The weight's first axis says the kernel size.
    """

    name: str

    def convolve(
        self,
        features: Tensor,
        weight: Tensor,
        inputs: CoordinateSet,
        outputs: CoordinateSet,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        """(N_in, C_in) features and (K, C_in, C_out) weights to (N_out, C_out) features.

        Differentiable where the engine can train; an epilogue is given only when no gradient is wanted.
        """
        ...


class TorchEngine:
    """Plain torch, on the CPU and on CUDA.

    Args:
        dtype: type of the matrix products' operands while training; float32, or bfloat16 for mixed precision.
    """

    name = "torch"

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype

    def convolve(
        self,
        features: Tensor,
        weight: Tensor,
        inputs: CoordinateSet,
        outputs: CoordinateSet,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        """See `Engine.convolve`."""
        pairs = kernel_map(inputs, outputs, 1 if len(weight) == 1 else 3)
        if torch.is_grad_enabled() and (features.requires_grad or weight.requires_grad):
            if epilogue is not None:
                raise NotImplementedError("an epilogue has no gradient")
            return convolve(features, weight, pairs, self.dtype)
        return gather_multiply(features, weight, pairs, epilogue)


def _torch_engine(device: torch.device | str) -> Engine:
    return TorchEngine()


def _minkowski_engine(device: torch.device | str) -> Engine:
    # Only here: importing the module is free, making the engine imports MinkowskiEngine.
    from dspdet3d_ros.sparse.minkowski import MinkowskiBackend

    return MinkowskiBackend(device)


_ENGINES = {"torch": _torch_engine, "minkowski": _minkowski_engine}


def make_engine(name: str, device: torch.device | str = "cpu") -> Engine:
    """The engine of that name for tensors on `device`.

    Raises:
        InputError: there is none of that name, it is not installed, or it cannot serve the device.
    """
    if name not in _ENGINES:
        raise InputError(f"backend: expected one of {', '.join(_ENGINES)}, got {name!r}")
    return _ENGINES[name](device)
