"""The interface of the engines that compute convolutions."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from dspdet3d_ros.defaults import BACKENDS, PRECISIONS
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse.convolution import Epilogue, convolve, gather_multiply, wants_gradient
from dspdet3d_ros.sparse.coords import CoordinateSet
from dspdet3d_ros.sparse.kernel_map import kernel_map
from dspdet3d_ros.sparse.torch_rows import TorchRows


class Engine(Protocol):
    """Computes sparse convolutions.

    The two coordinate sets say which one: outputs of the same stride are a stride-1 convolution, of twice the stride a
    stride-2 one, of half the stride a generative transposed one. The weight's first axis says the kernel size.
    """

    @property
    def name(self) -> str:
        """Name of the backend."""
        ...

    @property
    def coordinate_set(self) -> type[CoordinateSet]:
        """The class of coordinate sets with which it is fastest; it accepts every other class."""
        ...

    @property
    def storage(self) -> torch.dtype:
        """Type of the features between convolutions in inference; weights are best kept in it too."""
        ...

    def convolve(
        self,
        features: Tensor,
        weight: Tensor,
        inputs: CoordinateSet,
        outputs: CoordinateSet,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        """(N_in, C_in) features and (K, C_in, C_out) weights to (N_out, C_out) features.

        Differentiable where the engine can train.
        """
        ...

    def multiply(self, features: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
        """(N, C_in) features times a (C_in, C_out) matrix, plus the (1, C_out) bias if there is one; differentiable."""
        ...

    def normalise(self, features: Tensor, norm: nn.BatchNorm1d, residual: Tensor | None, relu: bool) -> Tensor:
        """Batch normalisation by the batch's own statistics, then `+ residual` and ReLU if asked for.

        Differentiable. The running statistics of `norm` take the batch in.

        Args:
            features: (N, C) float32, at least two rows.
            norm: in training mode.
            residual: (N, C), or None.
            relu: whether negative values become 0.
        """
        ...


class TorchEngine(TorchRows):
    """Plain torch, on the CPU and on CUDA.

    Args:
        dtype: type of the matrix products' operands while training; float32, or bfloat16 for mixed precision.
    """

    name = "torch"
    coordinate_set = CoordinateSet
    storage = torch.float32

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
        pairs = kernel_map(inputs, outputs, len(weight))
        if wants_gradient(features, weight, epilogue):
            rows = convolve(features, weight, pairs, self.dtype)
            return rows if epilogue is None else epilogue.apply_to(rows)
        return gather_multiply(features, weight, pairs, epilogue)


def _torch_engine(device: torch.device | str, storage: torch.dtype) -> Engine:
    return TorchEngine()


def _triton_engine(device: torch.device | str, storage: torch.dtype) -> Engine:
    from dspdet3d_ros.sparse.triton.triton_engine import TritonEngine

    return TritonEngine(device, storage)


def _native_engine(device: torch.device | str, storage: torch.dtype) -> Engine:
    from dspdet3d_ros.sparse.native.native_engine import NativeEngine

    return NativeEngine(device)


def _minkowski_engine(device: torch.device | str, storage: torch.dtype) -> Engine:
    # Imported here, because making the engine imports MinkowskiEngine.
    from dspdet3d_ros.sparse.minkowski import MinkowskiBackend

    return MinkowskiBackend(device)


_ENGINES = {
    "native": _native_engine,
    "torch": _torch_engine,
    "triton": _triton_engine,
    "minkowski": _minkowski_engine,
}


def choose_backend(device: torch.device | str) -> tuple[str, str]:
    """The backend that `auto` means on a device, and why, in a few words.

    On CUDA the Triton kernels are compared with plain torch on a small cloud, once per process; they are chosen only
    where they agree.
    """
    if torch.device(device).type != "cuda":
        from dspdet3d_ros.native.library import choose_isa, why_not

        reason = why_not()
        return (
            ("native", f"C library with {choose_isa()} kernels")
            if reason is None
            else ("torch", f"no C library: {reason}")
        )
    from dspdet3d_ros.sparse.triton.triton_engine import why_not as why_no_triton

    reason = why_no_triton(device)
    if reason is None:
        # Only here: it imports the kernels, and these Triton.
        from dspdet3d_ros.sparse.triton.self_check import DisagreementError, agreement

        try:
            return "triton", f"CUDA with Triton, which {agreement(device)}"
        except DisagreementError as disagreement:
            reason = str(disagreement)
    return "torch", f"no Triton kernels: {reason}"


def training_engine(device: torch.device | str, dtype: torch.dtype = torch.float32) -> Engine:
    """The engine that trains fastest: native for float32 on the CPU if its library was built, else plain torch.

    Args:
        device: of the tensors.
        dtype: type of the matrix products' operands; float32, or bfloat16 for mixed precision.
    """
    if dtype == torch.float32 and torch.device(device).type == "cpu" and choose_backend(device)[0] == "native":
        return make_engine("native", device)
    return TorchEngine(dtype)


def make_engine(name: str, device: torch.device | str = "cpu", precision: str = "auto") -> Engine:
    """The engine of that name for tensors on `device`.

    Args:
        name: one of `BACKENDS`; "auto" is native on the CPU if its library was built, triton on CUDA if it can run,
            else torch.
        device: of the tensors.
        precision: type of the features between convolutions: "fp16" (triton only; sums stay float32), "fp32", or
            "auto", which is fp16 with triton.

    Raises:
        InputError: there is none of that name, it is not installed, or it cannot serve the device or the precision.
    """
    if name not in BACKENDS:
        raise InputError(f"backend: expected one of {', '.join(BACKENDS)}, got {name!r}")
    if precision not in PRECISIONS:
        raise InputError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    if name == "auto":
        name = choose_backend(device)[0]
    if precision == "fp16" and name != "triton":
        raise InputError(f"precision: fp16 needs backend triton, and here it is {name}; use fp32 or auto")
    return _ENGINES[name](device, torch.float32 if precision == "fp32" else torch.float16)
