"""Coordinate sets and kernel maps, computed by the C library."""

from __future__ import annotations

from ctypes import c_int64

import torch
from torch import Tensor

from dspdet3d_ros.native.library import check, load, pointer
from dspdet3d_ros.sparse.coords import CoordinateSet, key_offset
from dspdet3d_ros.sparse.kernel_map import KernelMap
from dspdet3d_ros.sparse.parallel import worker_count

_KEY, _ROW = torch.int64, torch.int32
#: Cells of the window that a block of 2 x 2 x 2 cells reads.
WINDOW = 64
#: Cells that blocks must have on average to be faster than pairs. Measured: blocks take as long at 4.5 to 4.7 of 8
#: cells, and at 6 where two thirds of the features are 0.
_LEAST_CELLS = 5.5


class NativeCoordinateSet(CoordinateSet):
    """A `CoordinateSet` on the CPU that makes other sets by merging sorted keys."""

    @staticmethod
    def _sort_unique(keys: Tensor) -> tuple[Tensor, Tensor]:
        found, rows = torch.empty_like(keys), torch.empty_like(keys)
        n = len(keys)
        count = check(load().native_sort_unique(_keys(keys), n, _keys(found), _keys(rows)))
        return found[:count].clone(), rows[:count].clone()

    def _coarse_keys(self, clear: int) -> Tensor:
        found = torch.empty_like(self.keys)
        low_bits, top = key_offset(clear, clear, clear), (clear + 1) // 2
        x_bit, y_bit = key_offset(top, 0, 0), key_offset(0, top, 0)
        count = check(load().native_coarsen(_keys(self.keys), len(self), low_bits, x_bit, y_bit, _keys(found)))
        return found[:count].clone()

    def _fine_keys(self, half: int) -> Tensor:
        keys = self.keys
        for step in (key_offset(0, 0, half), key_offset(0, half, 0), key_offset(half, 0, 0)):
            found = keys.new_empty(3 * len(keys))
            keys = found[: check(load().native_expand_axis(_keys(keys), len(keys), step, _keys(found)))]
        return keys.clone()

    def _find_sorted(self, keys: Tensor) -> Tensor:
        rows = torch.empty_like(keys)
        check(load().native_find_sorted(_keys(self.keys), len(self), _keys(keys), len(keys), _keys(rows)))
        return rows


class NativeKernelMap(KernelMap):
    """A `KernelMap` on the CPU that is transposed and counted by the library."""

    def pairs(self) -> int:
        """See `KernelMap.pairs`."""
        counts = torch.empty(self.kernel_volume, dtype=_KEY)
        table = pointer(self.by_offset, _ROW, self.kernel_volume, self.n_out)
        check(load().native_count_pairs(table, self.kernel_volume, self.n_in, self.n_out, _keys(counts)))
        return int(counts.sum())

    def _transpose(self) -> KernelMap:
        volume, n_in, n_out = self.kernel_volume, self.n_in, self.n_out
        transposed = self.by_offset.new_empty(volume, n_in)
        table, into = pointer(self.by_offset, _ROW, volume, n_out), pointer(transposed, _ROW, volume, n_in)
        check(load().native_transpose_map(table, volume, n_in, n_out, into, worker_count()))
        return NativeKernelMap(transposed, n_out)


def search(inputs: CoordinateSet, out_keys: Tensor, volume: int, step: int) -> KernelMap:
    """For every output key q, in ascending order, and offset k the input row that holds `q + step·offset_k`."""
    n_in, n_out = len(inputs), len(out_keys)
    if volume == 1:
        rows = inputs._find_sorted(out_keys)
        return NativeKernelMap(torch.where(rows < 0, n_in, rows).int()[None], n_in)
    table = torch.empty(volume, n_out, dtype=_ROW)
    steps = (c_int64 * 3)(key_offset(step, 0, 0), key_offset(0, step, 0), key_offset(0, 0, step))
    into = pointer(table, _ROW, volume, n_out)
    keys, wanted = _keys(inputs.keys), _keys(out_keys)
    check(load().native_kernel_map(keys, n_in, wanted, n_out, steps, into, worker_count()))
    return NativeKernelMap(table, n_in)


def windows_of(cells: CoordinateSet) -> Tensor | None:
    """The rows of the 4 x 4 x 4 cells around each block of 2 x 2 x 2 cells; cached.

    Returns:
        (B, 64) int32, z fastest, N for an absent cell. None where blocks have few cells: there, the convolution by
        pairs is faster.
    """
    return cells.cached("windows", lambda: _search_windows(cells))


def _search_windows(cells: CoordinateSet) -> Tensor | None:
    blocks = cells.downsampled()
    n, n_blocks, step = len(cells), len(blocks), cells.stride
    if n < _LEAST_CELLS * n_blocks or not n:
        return None
    windows = torch.empty(n_blocks, WINDOW, dtype=_ROW)
    steps = (c_int64 * 3)(key_offset(step, 0, 0), key_offset(0, step, 0), key_offset(0, 0, step))
    into = pointer(windows, _ROW, n_blocks, WINDOW)
    check(load().native_block_map(_keys(cells.keys), n, _keys(blocks.keys), n_blocks, steps, into, worker_count()))
    return windows


def _keys(tensor: Tensor) -> int | None:
    return pointer(tensor, _KEY, len(tensor))
