"""Kernel maps: which input row meets which output row under which kernel offset."""

from __future__ import annotations

import torch
from torch import Tensor

from dspdet3d_ros.sparse.coords import NO_KEY, CoordinateSet, kernel_offsets, key_offset


class KernelMap:
    """The pairs of one convolution.

    Attributes:
        table: (N_out, K) int32; the input row that offset k brings to an output row, `n_in` where there is none
            (so that a row of zeros behind the input's last row stands for it).
        n_in: number of input rows.
        symmetric: input and output rows are the same set; offset K-1-k then undoes offset k.
    """

    def __init__(self, table: Tensor, n_in: int, symmetric: bool = False) -> None:
        self.table = table
        self.n_in = n_in
        self.symmetric = symmetric
        self._transposed: KernelMap | None = None

    @property
    def n_out(self) -> int:
        """Number of output rows."""
        return len(self.table)

    @property
    def kernel_volume(self) -> int:
        """K, the number of kernel offsets."""
        return self.table.shape[1]

    def pairs(self) -> int:
        """Number of (input, output) pairs: what the arithmetic of a convolution is counted by."""
        return int((self.table < self.n_in).sum())

    def transposed(self) -> KernelMap:
        """The map of the transposed operation: under the same offset, output rows bring to input rows."""
        if self._transposed is None and self.symmetric:
            self._transposed = KernelMap(self.table.flip(1), self.n_in, symmetric=True)
        if self._transposed is None:
            table = self.table.new_full((self.n_in, self.kernel_volume), self.n_out)
            row, offset = (self.table < self.n_in).nonzero(as_tuple=True)
            table[self.table[row, offset].long(), offset] = row.int()
            self._transposed = KernelMap(table, self.n_out)
            self._transposed._transposed = self
        return self._transposed


def kernel_map(inputs: CoordinateSet, outputs: CoordinateSet, kernel_size: int) -> KernelMap:
    """The map of the convolution that leads from one set to the other; their strides say which one it is."""
    if 2 * outputs.stride == inputs.stride:
        return generative_map(inputs)
    return convolution_map(inputs, outputs, kernel_size)


def convolution_map(inputs: CoordinateSet, outputs: CoordinateSet, kernel_size: int) -> KernelMap:
    """The map of `out[q] = Σ_k W_kᵀ · in[q + t·offset_k]`, t the *input* stride. Cached on `outputs`.

    It serves stride 1 (`outputs` is `inputs`) and stride 2 (`outputs` is `inputs.downsampled()`).
    """
    # The cached value holds `inputs` too: its id cannot be taken over by another set meanwhile.
    name = ("convolution", kernel_size, id(inputs))
    return outputs.cached(name, lambda: (_search(inputs, outputs.keys, kernel_size, inputs.stride), inputs))[0]


def generative_map(inputs: CoordinateSet) -> KernelMap:
    """The map of a generative transposed convolution of kernel 3 and stride 2 onto `inputs.expanded()`. Cached.

    Every input p creates the outputs `p + (t/2)·offset_k`; seen from an output q this is
    `out[q] = Σ_k W_kᵀ · in[q − (t/2)·offset_k]`.
    """
    outputs = inputs.expanded()
    return inputs.cached("generative", lambda: _search(inputs, outputs.keys, 3, -outputs.stride))


def _search(inputs: CoordinateSet, out_keys: Tensor, kernel_size: int, step: int) -> KernelMap:
    """For every output key q and offset k the input row that holds `q + step·offset_k`."""
    n_in = len(inputs)
    if kernel_size == 1:
        rows = inputs.find(out_keys)
        return KernelMap(torch.where(rows < 0, n_in, rows).int()[:, None], n_in)
    padded = torch.cat([inputs.keys, inputs.keys.new_full((3,), NO_KEY)])
    table = torch.empty(kernel_size**3, len(out_keys), dtype=torch.int32, device=out_keys.device)
    size = abs(step)
    for k, (dx, dy, dz) in enumerate(kernel_offsets(kernel_size)):
        if dz != -1:
            continue
        # z is the lowest digit of the key and rows are sorted: from the place of the lowest of three z-neighbours the
        # other two can only be the next rows, so 9 searches answer 27 questions.
        key = out_keys + key_offset(step * dx, step * dy, -size)
        row = torch.searchsorted(inputs.keys, key)
        for z in range(3):
            hit = padded[row] == key
            # A negative step runs through the z-neighbours in the opposite order.
            table[k + 9 * (z if step > 0 else 2 - z)] = torch.where(hit, row, n_in)
            row = row + hit
            key = key + size
    return KernelMap(table.t().contiguous(), n_in, symmetric=out_keys is inputs.keys)
