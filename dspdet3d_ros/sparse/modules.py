"""Layers over sparse tensors; parameter names and layouts are those of MinkowskiEngine's checkpoints."""

from __future__ import annotations

import copy
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.sparse.coords import CoordinateSet
from dspdet3d_ros.sparse.tensor import SparseTensor

Network = TypeVar("Network", bound=nn.Module)


class _Kernel(nn.Module):
    """A weight `kernel` and an optional `bias`; subclasses define the output coordinates."""

    def __init__(self, kernel_shape: tuple[int, ...], bias: bool) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(kernel_shape))
        self.bias = nn.Parameter(torch.zeros(1, kernel_shape[-1])) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming-normal for ReLU, fan-out: the original's start."""
        volume = self.kernel.shape[0] if self.kernel.ndim == 3 else 1
        nn.init.normal_(self.kernel, std=(2 / (volume * self.kernel.shape[-1])) ** 0.5)

    def outputs(self, coords: CoordinateSet) -> CoordinateSet:
        """The output coordinates for the input coordinates `coords`."""
        raise NotImplementedError

    @property
    def weight(self) -> Tensor:
        """(K, C_in, C_out) view of the kernel."""
        return self.kernel if self.kernel.ndim == 3 else self.kernel[None]

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Convolves."""
        coords = self.outputs(x.coords)
        if self.kernel.ndim == 2:
            # Predictions are float32 whatever the features between convolutions are.
            features = x.engine.multiply(x.features.to(self.kernel.dtype), self.kernel, self.bias)
        else:
            features = x.engine.convolve(x.features, self.kernel, x.coords, coords)
            if self.bias is not None:
                features = features + self.bias
        return SparseTensor(features, coords, x.engine)

    def extra_repr(self) -> str:
        return f"kernel {tuple(self.kernel.shape)}, bias {self.bias is not None}"


class SparseConv(_Kernel):
    """Convolution of kernel size 1 or 3 and stride 1 or 2.

    Stride 1 keeps the coordinates (submanifold); stride 2 has the unique `floor(p / 2t)·2t`.
    """

    def __init__(self, c_in: int, c_out: int, kernel_size: int = 3, stride: int = 1, bias: bool = False) -> None:
        matrix = kernel_size == 1 and stride == 1
        super().__init__((c_in, c_out) if matrix else (kernel_size**3, c_in, c_out), bias)
        self.stride = stride

    def outputs(self, coords: CoordinateSet) -> CoordinateSet:
        """See `_Kernel.outputs`."""
        return coords if self.stride == 1 else coords.downsampled()


class GenerativeUpConv(_Kernel):
    """Generative transposed convolution of kernel 3, stride 2: every cell creates its 27 finer neighbours."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__((27, c_in, c_out), bias=False)

    def outputs(self, coords: CoordinateSet) -> CoordinateSet:
        """See `_Kernel.outputs`."""
        return coords.expanded()


class BatchNorm(nn.Module):
    """Batch normalisation over all rows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels)

    @staticmethod
    def has_statistics(coords: CoordinateSet) -> bool:
        """Whether rows at these cells have a variance: that of a single row is none."""
        return len(coords) > 1

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Normalises; at least two rows in training mode."""
        return x.with_features(self.bn(x.features))


class Foldable(nn.Module):
    """A module with convolutions that are each followed by a batch norm, which `folded` joins."""

    #: Names of the submodules: (convolution, batch norm).
    CONV_NORM: ClassVar[tuple[tuple[str, str], ...]] = (("0", "1"),)

    def fold(self, dtype: torch.dtype) -> None:
        """Replaces each pair by one convolution with a bias, in place; its kernel gets the type `dtype`."""
        for conv_name, norm_name in self.CONV_NORM:
            conv, norm = self.get_submodule(conv_name), self.get_submodule(norm_name)
            if isinstance(conv, _Kernel) and isinstance(norm, BatchNorm):
                kernel, bias = _folded_weights(conv, norm)
                conv.kernel = nn.Parameter(kernel.view_as(conv.kernel).to(dtype))
                conv.bias = nn.Parameter(bias[None])
                setattr(self, norm_name, nn.Identity())


def folded(network: Network, dtype: torch.dtype = torch.float32) -> Network:
    """A copy of a network for inference only: every batch norm is part of the convolution before it.

    The copy has its own weights. A later change of `network` does not change the copy, and the copy does not cache
    anything: its parameters are what it computes with.

    Args:
        network: in evaluation mode; its running statistics are used.
        dtype: type of the folded kernels; best that of the features between convolutions.
    """
    network = copy.deepcopy(network).eval()
    with torch.no_grad():
        for module in list(network.modules()):
            if isinstance(module, Foldable):
                module.fold(dtype)
    return network.requires_grad_(False)


class ConvNormReLU(nn.Sequential, Foldable):
    """A convolution, batch normalisation, ReLU."""

    def __init__(self, conv: _Kernel) -> None:
        super().__init__(conv, BatchNorm(conv.kernel.shape[-1]))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Applies the three, in one pass over the rows when no gradient is wanted."""
        conv, norm = self
        # nn.Sequential knows its layers as modules only.
        return conv_norm(conv, norm, x, relu=True)  # type: ignore[arg-type]


def conv_norm(
    conv: _Kernel,
    norm: BatchNorm | nn.Identity,
    x: SparseTensor,
    residual: SparseTensor | None = None,
    relu: bool = False,
) -> SparseTensor:
    """Convolution, batch normalisation, then `+ residual` and ReLU if asked for.

    In training mode the batch's own statistics normalise, if there are any. Otherwise, and with frozen statistics, all
    is one pass over the rows: the batch norm is folded into the weights at each call. A network that `folded` made has
    done so once.
    """
    coords = conv.outputs(x.coords)
    if isinstance(norm, BatchNorm) and norm.training and norm.has_statistics(coords):
        y = conv(x)
        added = None if residual is None else residual.features
        return y.with_features(y.engine.normalise(y.features, norm.bn, added, relu))
    weight, bias = conv.weight, None if conv.bias is None else conv.bias[0]
    if isinstance(norm, BatchNorm):
        weight, bias = _folded_weights(conv, norm)
    epilogue = Epilogue(bias, None if residual is None else residual.features, relu)
    weight = weight.to(x.features.dtype)
    return SparseTensor(x.engine.convolve(x.features, weight, x.coords, coords, epilogue), coords, x.engine)


def _folded_weights(conv: _Kernel, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """(K, C_in, C_out) weight and (C_out,) bias of the convolution and the batch norm together."""
    bn = norm.bn
    mean, variance = bn.get_buffer("running_mean"), bn.get_buffer("running_var")
    scale = bn.weight * torch.rsqrt(variance + bn.eps)
    before = -mean if conv.bias is None else conv.bias[0] - mean
    return conv.weight * scale, bn.bias + before * scale
