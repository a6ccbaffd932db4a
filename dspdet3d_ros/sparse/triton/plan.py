"""Kernel maps in the layout of the convolution kernel, built on the GPU without synchronising with the host."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dspdet3d_ros.sparse.coords import CoordinateSet, key_offset
from dspdet3d_ros.sparse.triton.kernels import LIST_LENGTH, find_neighbours, list_offsets

#: Tables are filled up to a multiple of this; every tile height must divide it.
TABLE_ROWS = 128
SEARCH_ROWS = 32


@dataclass
class Plan:
    """The pairs of one convolution; output rows with the same offsets lie side by side.

    Attributes:
        table: (K, T) int32; the input row that offset k brings to column t, `n_in` where there is none.
        rows: (T,) int32; the output row of each column, `n_out` in those that fill the last tile.
        masks: (T,) int32; which offsets a column has, as bits.
        n_in, n_out: numbers of input and output rows.
    """

    table: Tensor
    rows: Tensor
    masks: Tensor
    n_in: int
    n_out: int
    _tiles: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def tiles(self, height: int) -> tuple[Tensor, Tensor]:
        """(tiles, LIST_LENGTH) active offsets of each tile of `height` columns and (tiles,) how many; computed once."""
        if height not in self._tiles:
            count = -(-self.n_out // height)
            offsets = self.masks.new_empty(count, LIST_LENGTH)
            counts = self.masks.new_empty(count)
            with torch.cuda.device_of(self.masks):
                list_offsets[(count,)](self.masks, offsets, counts, TILE=height, LIST=LIST_LENGTH)
            self._tiles[height] = offsets, counts
        return self._tiles[height]


def plan_of(inputs: CoordinateSet, outputs: CoordinateSet, volume: int) -> Plan:
    """The plan of the convolution that leads from one set to the other, as in `kernel_map`. Cached on `inputs`.

    Args:
        volume: 1 or 27, the number of kernel offsets.
    """
    # By weak reference: the inputs keep their outputs in many cases, and a circle would keep GPU memory.
    name = ("plan", volume, weakref.ref(outputs))
    return inputs.cached(name, lambda: _make(inputs, outputs, volume))


def _make(inputs: CoordinateSet, outputs: CoordinateSet, volume: int) -> Plan:
    n_in, n_out = len(inputs), len(outputs)
    generative = 2 * outputs.stride == inputs.stride
    table = outputs.keys.new_empty(volume, n_out + 1, dtype=torch.int32)
    masks = outputs.keys.new_empty(n_out + 1, dtype=torch.int32)
    # Triton launches on the current device, which need not be the tensors'.
    with torch.cuda.device_of(table):
        find_neighbours[(-(-(n_out + 1) // SEARCH_ROWS),)](
            inputs.keys,
            outputs.keys,
            table,
            masks,
            n_in,
            n_out,
            n_in.bit_length(),
            -outputs.stride if generative else inputs.stride,
            key_offset(1, 0, 0),
            key_offset(0, 1, 0),
            key_offset(0, 0, 1),
            VOLUME=volume,
            ROWS=SEARCH_ROWS,
            COLUMNS=16 if volume == 27 else 1,
        )
    # Stable: rows with the same offsets stay in the order of their coordinates, so that neighbours share cache lines.
    order = torch.sort(masks[:n_out], stable=True).indices
    rows = torch.cat([order, order.new_full((-n_out % TABLE_ROWS,), n_out)])
    return Plan(table.index_select(1, rows), rows.int(), masks.index_select(0, rows), n_in, n_out)
