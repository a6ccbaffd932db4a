"""Kernel maps in the layout of the convolution kernel, built on the GPU without synchronising with the host."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from dspdet3d_ros.sparse.coords import CoordinateSet, key_offset
from dspdet3d_ros.sparse.triton.kernels import LIST_LENGTH, find_neighbours, list_offsets

#: Tables are filled up to a multiple of this; every tile height must divide it.
TABLE_ROWS = 128
SEARCH_ROWS = 32


#: Masks have 28 bits; with a number above them, masks of so many plans are sorted together.
_TAG_BIT = 28
_TAGS = 16
#: The offset of a kernel of 27 at which a kernel of 1 has its own.
CENTRE = 13


@dataclass
class Plan:
    """The pairs of one convolution, and the order in which tiles take its output rows.

    Attributes:
        table: (K, T) int32; the input row that offset k brings to each output row, `n_in` where there is none. T is
            `n_out` or a little more, a multiple of `TABLE_ROWS`.
        rows: int64; if `ordered`, (T,) output rows, each plus `base`: those with the same offsets lie side by side, and
            those from `n_out` on are none. Otherwise they are not read.
        ordered: False: tiles take the output rows in the order of their numbers.
        masks: (T,) int32; which offsets they have, as bits, in the order of the tiles.
        n_in, n_out: numbers of input and output rows.
        first: the bit of offset 0.
        base: what `rows` are too large by.
    """

    table: Tensor
    rows: Tensor
    ordered: bool
    masks: Tensor
    n_in: int
    n_out: int
    first: int = 0
    base: int = 0
    _tiles: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def tiles(self, height: int) -> tuple[Tensor, Tensor]:
        """(tiles, LIST_LENGTH) active offsets of each tile of `height` rows and (tiles,) how many; computed once."""
        if height not in self._tiles:
            count = -(-self.n_out // height)
            offsets = self.masks.new_empty(count, LIST_LENGTH)
            counts = self.masks.new_empty(count)
            with torch.cuda.device_of(self.masks):
                list_offsets[(count,)](
                    self.masks, offsets, counts, self.first, len(self.table), TILE=height, LIST=LIST_LENGTH
                )
            self._tiles[height] = offsets, counts
        return self._tiles[height]

    def centre(self) -> Plan:
        """The plan of a kernel of 1 between the same sets, of a plan of 27 offsets."""
        return replace(self, table=self.table[CENTRE : CENTRE + 1], first=CENTRE, _tiles={})


class PlannedCoordinateSet(CoordinateSet):
    """A `CoordinateSet` on a GPU that makes the plans of several convolutions together."""

    def expect(self, convolutions: Sequence[tuple[CoordinateSet, CoordinateSet]]) -> None:
        """See `CoordinateSet.expect`; one sort orders the rows of all."""
        for some in (convolutions[i : i + _TAGS] for i in range(0, len(convolutions), _TAGS)):
            sizes = [table_rows(len(outputs)) for _, outputs in some]
            masks = self.keys.new_empty(sum(sizes), dtype=torch.int32)
            tables = [
                _find(inputs, outputs, part, number - _TAGS // 2)
                for number, ((inputs, outputs), part) in enumerate(zip(some, masks.split(sizes), strict=True))
            ]
            masks, rows = torch.sort(masks, stable=True)
            parts = zip(some, tables, masks.split(sizes), rows.split(sizes), strict=True)
            base = 0
            for (inputs, outputs), table, part, order in parts:
                plan = Plan(table, order, True, part, len(inputs), len(outputs), base=base)
                inputs.cached(_name(27, outputs), partial(replace, plan))
                base += len(part)


def table_rows(count: int) -> int:
    """The number of columns of the table of so many output rows."""
    return -(-count // TABLE_ROWS) * TABLE_ROWS


def plan_of(inputs: CoordinateSet, outputs: CoordinateSet, volume: int) -> Plan:
    """The plan of the convolution that leads from one set to the other, as in `kernel_map`. Cached on `inputs`.

    Args:
        volume: 1 or 27, the number of kernel offsets.
    """
    if volume == 1:
        # Between the sets of a shortcut there is a convolution of 27 offsets too.
        return inputs.cached(_name(1, outputs), lambda: plan_of(inputs, outputs, 27).centre())
    return inputs.cached(_name(27, outputs), lambda: _make(inputs, outputs))


def _name(volume: int, outputs: CoordinateSet) -> tuple:
    # By weak reference: the inputs keep their outputs in many cases, and a circle would keep GPU memory.
    return "plan", volume, weakref.ref(outputs)


def _make(inputs: CoordinateSet, outputs: CoordinateSet) -> Plan:
    n_in, n_out = len(inputs), len(outputs)
    masks = outputs.keys.new_empty(table_rows(n_out), dtype=torch.int32)
    table = _find(inputs, outputs, masks)
    if inputs is outputs and inputs.filled:
        # Nearly all neighbours exist: an order saves less than it costs.
        return Plan(table, outputs.keys, False, masks, n_in, n_out)
    # Stable: rows with the same offsets stay in the order of their coordinates, so that neighbours share cache lines.
    masks, rows = torch.sort(masks, stable=True)
    return Plan(table, rows, True, masks, n_in, n_out)


def _find(inputs: CoordinateSet, outputs: CoordinateSet, masks: Tensor, number: int = 0) -> Tensor:
    """The table of a plan of 27 offsets; writes the masks, with a number above their bits."""
    n_in, n_out, n_table = len(inputs), len(outputs), len(masks)
    generative = 2 * outputs.stride == inputs.stride
    table = masks.new_empty(27, n_table)
    # Triton launches on the current device, which need not be the tensors'.
    with torch.cuda.device_of(table):
        find_neighbours[(n_table // SEARCH_ROWS,)](
            inputs.keys,
            outputs.keys,
            table,
            masks,
            n_in,
            n_out,
            n_table,
            n_in.bit_length(),
            -outputs.stride if generative else inputs.stride,
            number << _TAG_BIT,
            key_offset(1, 0, 0),
            key_offset(0, 1, 0),
            key_offset(0, 0, 1),
            VOLUME=27,
            ROWS=SEARCH_ROWS,
            COLUMNS=16,
        )
    return table
