"""Kernel maps: the pairs of input and output rows of each kernel offset."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch
from torch import Tensor

from dspdet3d_ros.sparse.coords import CoordinateSet, kernel_offsets, kernel_size, key_offset


class KernelMap:
    """The pairs of one convolution.

    Attributes:
        by_offset: (K, N_out) int32; the input row that offset k brings to an output row, `n_in` where there is none
            (so that a row of zeros behind the input's last row stands for it).
        n_in: number of input rows.
    """

    def __init__(self, by_offset: Tensor, n_in: int) -> None:
        self.by_offset = by_offset
        self.n_in = n_in
        self._table: Tensor | None = None
        self._pairs: list[tuple[Tensor, Tensor]] | None = None
        self._transposed: KernelMap | None = None

    @property
    def n_out(self) -> int:
        """Number of output rows."""
        return self.by_offset.shape[1]

    @property
    def kernel_volume(self) -> int:
        """K, the number of kernel offsets."""
        return len(self.by_offset)

    @property
    def table(self) -> Tensor:
        """(N_out, K) int32, `by_offset` row by row."""
        if self._table is None:
            self._table = self.by_offset.t().contiguous()
        return self._table

    @property
    def pair_lists(self) -> list[tuple[Tensor, Tensor]]:
        """For each offset (sources, targets), int32: the input and output rows that meet, both ascending.

        An offset moves all coordinates alike, which keeps the order of their keys: so both ascend.
        """
        if self._pairs is None:
            self._pairs = [_pairs(rows, self.n_in) for rows in self.by_offset]
        return self._pairs

    def pairs(self) -> int:
        """Number of (input, output) pairs, from which the arithmetic of a convolution is counted."""
        return sum(len(targets) for _, targets in self.pair_lists)

    def transposed(self) -> KernelMap:
        """The map of the transposed operation: inputs and outputs change their roles."""
        if self._transposed is None:
            self._transposed = self._transpose()
        return self._transposed

    def _transpose(self) -> KernelMap:
        # One more column takes what offsets without an input row bring.
        by_offset = self.by_offset.new_full((self.kernel_volume, self.n_in + 1), self.n_out)
        targets = torch.arange(self.n_out, dtype=torch.int32, device=by_offset.device)
        by_offset.scatter_(1, self.by_offset.long(), targets.expand(self.kernel_volume, -1))
        transposed = KernelMap(by_offset[:, :-1].contiguous(), self.n_out)
        if self._pairs is not None:
            transposed._pairs = [(targets, sources) for sources, targets in self._pairs]
        return transposed


def _pairs(rows: Tensor, n_in: int) -> tuple[Tensor, Tensor]:
    targets = (rows < n_in).nonzero()[:, 0]
    return rows[targets], targets.int()


def search(inputs: CoordinateSet, out_keys: Tensor, volume: int, step: int) -> KernelMap:
    """For every output key q and offset k the input row that holds `q + step·offset_k`."""
    n_in, size = len(inputs), kernel_size(volume)
    if size == 1:
        rows = inputs.find(out_keys)
        return KernelMap(torch.where(rows < 0, n_in, rows).int()[None], n_in)
    found = torch.empty(3, 9, len(out_keys), dtype=torch.int32, device=out_keys.device)
    keys = inputs.padded_keys
    # z is the lowest digit of the key and rows are sorted: from the place of the lowest of three z-neighbours the other
    # two can only be the next rows, so 9 searches answer 27 questions.
    columns = [key_offset(step * dx, step * dy, -abs(step)) for dx, dy, dz in kernel_offsets(3) if dz == 0]
    wanted = out_keys + torch.tensor(columns, device=out_keys.device)[:, None]
    row, none = torch.searchsorted(inputs.keys, wanted), torch.full_like(wanted[:1, :1], n_in)
    for z in range(3):
        hit = keys[row] == wanted
        # A negative step runs through the z-neighbours in the opposite order.
        found[z if step > 0 else 2 - z] = torch.where(hit, row, none)
        if z < 2:
            row += hit
            wanted += abs(step)
    return KernelMap(found.view(volume, -1), n_in)


#: Makes the map of some sets: (inputs, output keys, kernel volume, step) -> map; see `search`.
Search = Callable[[CoordinateSet, Tensor, int, int], KernelMap]


def kernel_map(inputs: CoordinateSet, outputs: CoordinateSet, volume: int, search: Search = search) -> KernelMap:
    """The map of the convolution that leads from one set to the other; their strides say which one it is.

    Args:
        inputs, outputs: the two sets.
        volume: 1 or 27, the number of kernel offsets: the length of the weight.
        search: makes the map if it is not cached yet.
    """
    if 2 * outputs.stride == inputs.stride:
        return generative_map(inputs, outputs, search)
    return convolution_map(inputs, outputs, volume, search)


def convolution_map(inputs: CoordinateSet, outputs: CoordinateSet, volume: int, search: Search = search) -> KernelMap:
    """The map of `out[q] = Σ_k W_kᵀ · in[q + t·offset_k]`, t the *input* stride. Cached on `outputs`.

    It serves stride 1 (`outputs` is `inputs`) and stride 2 (`outputs` is `inputs.downsampled()`).
    """
    # By weak reference, as elsewhere: a circle would keep all tensors until the garbage collector runs.
    name = ("convolution", volume, weakref.ref(inputs))
    return outputs.cached(name, lambda: search(inputs, outputs.keys, volume, inputs.stride))


def generative_map(inputs: CoordinateSet, outputs: CoordinateSet, search: Search = search) -> KernelMap:
    """The map of a transposed convolution of kernel 3 and stride 2 onto a set of half the stride. Cached on `outputs`.

    Every input p contributes to the outputs `p + (t/2)·offset_k`; seen from an output q this is
    `out[q] = Σ_k W_kᵀ · in[q − (t/2)·offset_k]`. The convolution is generative where `outputs` is `inputs.expanded()`.
    """
    name = ("transposed", weakref.ref(inputs))
    return outputs.cached(name, lambda: search(inputs, outputs.keys, 27, -outputs.stride))
