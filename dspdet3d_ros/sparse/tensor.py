"""Features at coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dspdet3d_ros.sparse.coords import CoordinateSet, key_offset, pack, synchronises
from dspdet3d_ros.sparse.engine import Engine


class _AddWherePresent(torch.autograd.Function):
    """See `SparseTensor.add_where_present`.

    Coordinates are unique, so both directions are look-ups. The gradient that autograd would derive scatters the rows
    of all absent coordinates onto one row, which a GPU does one after the other.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, others: Tensor, coords: CoordinateSet, of_others: CoordinateSet) -> Tensor:
        ctx.coords, ctx.of_others = coords, of_others
        rows = of_others.rows_of(coords)
        if synchronises(rows):
            return features + _rows_or_zeros(others, rows)
        mine = (rows >= 0).nonzero()[:, 0]
        out = features.clone()
        out[mine] = features[mine] + others[rows[mine]]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        of_others = None
        if ctx.needs_input_grad[1]:
            of_others = _rows_or_zeros(gradient, ctx.coords.rows_of(ctx.of_others))
        return gradient, of_others, None, None


def _rows_or_zeros(features: Tensor, rows: Tensor) -> Tensor:
    """(M, C) the features of the (M,) rows, zeros where the row is -1."""
    if not len(features):
        return features.new_zeros(len(rows), features.shape[1])
    return features[rows.clamp(min=0)].masked_fill_((rows < 0)[:, None], 0)


@dataclass(frozen=True)
class SparseTensor:
    """One feature row for each coordinate.

    Attributes:
        features: (N, C) float32, rows in the order of `coords`; in inference float16 if the engine stores that.
        coords: the N coordinates.
        engine: computes the convolutions on this tensor.
    """

    features: Tensor
    coords: CoordinateSet
    engine: Engine

    def __len__(self) -> int:
        return len(self.coords)

    def with_features(self, features: Tensor) -> SparseTensor:
        """The same coordinates with other features."""
        return replace(self, features=features)

    def select(self, rows: Tensor) -> SparseTensor:
        """The given rows: (M,) row numbers, ascending, or an (N,) boolean mask."""
        if rows.dtype == torch.bool:
            rows = rows.nonzero()[:, 0]
        return replace(self, features=self.features[rows], coords=self.coords.subset(rows))

    def add_where_present(self, other: SparseTensor, reuse: bool = False) -> SparseTensor:
        """Adds the other tensor's rows at this tensor's coordinates; no new coordinates come from the other one.

        The *partial addition* of DSPDet3D (section 3.3).

        Args:
            other: the tensor to add.
            reuse: this tensor's features may be overwritten where no gradient is wanted; that saves a copy.
        """
        if reuse and not torch.is_grad_enabled() and not synchronises(self.features):
            rows = other.coords.rows_of(self.coords)
            mine = (rows >= 0).nonzero()[:, 0]
            self.features[mine] += other.features[rows[mine]]
            return self
        return self.with_features(_AddWherePresent.apply(self.features, other.features, self.coords, other.coords))

    def interpolate_cells(self, cells: CoordinateSet) -> Tensor:
        """`interpolate` at the lower corners of cells of half the stride; no gradients.

        Returns:
            (M, C) features.
        """
        axis = torch.tensor([0.5, 1.0, 0.5], device=self.features.device)
        weight = (axis[:, None, None] * axis[:, None] * axis).reshape(27, 1, 1)
        with torch.no_grad():
            columns = [self.engine.convolve(c[:, None], weight, self.coords, cells) for c in self.features.unbind(1)]
        return torch.cat(columns, 1)

    def interpolate(self, coords: Tensor) -> Tensor:
        """Trilinear look-up of the features at off-grid places; absent corners count as zero.

        Args:
            coords: (M, 4) float rows (batch, x, y, z) in voxels.

        Returns:
            (M, C) features.
        """
        stride = self.coords.stride
        low = torch.floor(coords[:, 1:] / stride)
        part = coords[:, 1:] / stride - low
        corner = torch.cat([coords[:, :1], low * stride], 1).long()
        base = pack(corner)
        out = self.features.new_zeros(len(coords), self.features.shape[1])
        for dx in (0, 1):
            for dy in (0, 1):
                for dz in (0, 1):
                    rows = self.coords.find(base + key_offset(dx * stride, dy * stride, dz * stride))
                    step = torch.tensor([dx, dy, dz], device=part.device)
                    weight = torch.where(step == 1, part, 1 - part).prod(1) * (rows >= 0)
                    out += weight[:, None] * self.features[rows.clamp(min=0)]
        return out
