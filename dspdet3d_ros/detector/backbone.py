"""The backbone: a sparse ResNet with four output levels (DSPDet3D, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from dspdet3d_ros.sparse import BatchNorm, Foldable, SparseConv, SparseTensor, conv_norm

#: Convolutions of stride 2: the stem and one in each of four stages.
_STRIDE_2 = 5


class Downsample(nn.Sequential, Foldable):
    """The shortcut of a stage's first block: kernel 1, stride 2, then batch norm."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(SparseConv(c_in, c_out, kernel_size=1, stride=2), BatchNorm(c_out))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Only the input cell that lies exactly on an output cell counts."""
        conv, norm = self
        # nn.Sequential knows its layers as modules only.
        return conv_norm(conv, norm, x)  # type: ignore[arg-type]


class BasicBlock(Foldable):
    """Two convolutions and a shortcut."""

    CONV_NORM = (("conv1", "norm1"), ("conv2", "norm2"))

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = SparseConv(c_in, c_out, stride=stride)
        self.norm1 = BatchNorm(c_out)
        self.conv2 = SparseConv(c_out, c_out)
        self.norm2 = BatchNorm(c_out)
        self.downsample = Downsample(c_in, c_out) if stride != 1 else None

    def forward(self, x: SparseTensor) -> SparseTensor:
        """(N_in, c_in) to (N_out, c_out)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = conv_norm(self.conv1, self.norm1, x, relu=True)
        return conv_norm(self.conv2, self.norm2, y, residual=shortcut, relu=True)


class Backbone(Foldable):
    """Stem of stride 2 and four stages of stride 2 each."""

    CONV_NORM = (("conv1", "norm1"),)

    def __init__(self, widths: Sequence[int], blocks: Sequence[int], in_channels: int = 3) -> None:
        super().__init__()
        self.conv1 = SparseConv(in_channels, widths[0], stride=2)
        self.norm1 = BatchNorm(widths[0])
        c_in = widths[0]
        for i, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            stage = [BasicBlock(c_in, width, stride=2)]
            stage += [BasicBlock(width, width) for _ in range(count - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*stage))
            c_in = width

    def fold(self, dtype: torch.dtype) -> None:
        """See `Foldable.fold`; the stem takes coordinates, which are float32 whatever the other features are."""
        super().fold(torch.float32)

    def forward(self, x: SparseTensor) -> list[SparseTensor]:
        """Voxels (stride 1) to the four levels (strides 4, 8, 16, 32), fine to coarse."""
        sets = [x.coords]
        for _ in range(_STRIDE_2):
            sets.append(sets[-1].downsampled())
        x.coords.expect([*pairwise(sets), *((cells, cells) for cells in sets[2:])])
        x = conv_norm(self.conv1, self.norm1, x, relu=True)
        levels = []
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
            levels.append(x)
        return levels
