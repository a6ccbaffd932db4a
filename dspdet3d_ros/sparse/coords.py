"""Integer coordinates of sparse tensors, packed into one sortable key each."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor

from dspdet3d_ros.errors import InputError

Value = TypeVar("Value")
AXIS_BITS = 19
BATCH_BITS = 6
MAX_BATCH = 1 << BATCH_BITS
#: Coordinates are accepted in [-COORDINATE_LIMIT, COORDINATE_LIMIT): at 1 cm a cube of 5 km. The rest of the key's
#: range is a margin that kernel offsets may step into without wrapping into the next digit.
COORDINATE_LIMIT = (1 << (AXIS_BITS - 1)) - 1024

_OFFSET = 1 << (AXIS_BITS - 1)
_MASK = (1 << AXIS_BITS) - 1
#: The key of the coordinate 0, 0, 0 of batch 0.
_ZERO = (_OFFSET << 2 * AXIS_BITS) + (_OFFSET << AXIS_BITS) + _OFFSET
#: Refinements of a level with so many candidates are made together with the choice of its cells: 64 MB of keys.
_MOST_CANDIDATES = 1 << 23
#: Larger than every key; fills the end of look-ups.
NO_KEY = torch.iinfo(torch.int64).max


def pack(coords: Tensor) -> Tensor:
    """(N, 4) int64 rows (batch, x, y, z) -> (N,) int64 keys, ordered like the rows; z is the lowest digit."""
    b, x, y, z = coords.unbind(1)
    keys = torch.add(z + _ZERO, y, alpha=1 << AXIS_BITS)
    return keys.add_(x, alpha=1 << 2 * AXIS_BITS).add_(b, alpha=1 << 3 * AXIS_BITS)


def unpack(keys: Tensor) -> Tensor:
    """(N,) int64 keys -> (N, 4) int64 rows (batch, x, y, z)."""
    shifts, zeros = _fields(keys.device)
    return ((keys >> shifts & _MASK) - zeros).t()


def key_offset(dx: int, dy: int, dz: int) -> int:
    """Difference of the keys of two coordinates that differ by (dx, dy, dz)."""
    return (dx << 2 * AXIS_BITS) + (dy << AXIS_BITS) + dz


def kernel_offsets(kernel_size: int) -> list[tuple[int, int, int]]:
    """Offsets (dx, dy, dz) of a centred kernel of size 1 or 3, x fastest: the order of the weights' first axis."""
    if kernel_size not in (1, 3):
        raise InputError(f"kernel_size: expected 1 or 3, got {kernel_size}")
    reach = range(-(kernel_size // 2), kernel_size // 2 + 1)
    return [(dx, dy, dz) for dz in reach for dy in reach for dx in reach]


def kernel_size(volume: int) -> int:
    """Edge of a kernel that has so many offsets: 1 of 1, 3 of 27.

    Raises:
        InputError: there is none.
    """
    if volume not in (1, 27):
        raise InputError(f"weights: expected 1 or 27 kernel offsets, got {volume}; use kernel size 1 or 3")
    return 1 if volume == 1 else 3


@cache
def _fields(device: torch.device) -> tuple[Tensor, Tensor]:
    """(4, 1) the lowest bit of batch, x, y and z in a key, and what is added to each."""
    shifts, zeros = [3 * AXIS_BITS, 2 * AXIS_BITS, AXIS_BITS, 0], [0, _OFFSET, _OFFSET, _OFFSET]
    return torch.tensor(shifts, device=device)[:, None], torch.tensor(zeros, device=device)[:, None]


@cache
def _coarsening(strides: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(n, 1) for strides 1, 2, 4, …: the bits of a key that stay, and the stride's number in place of the batch."""
    low = [(1 << k) - 1 for k in range(strides)]
    stay = torch.tensor([~key_offset(bits, bits, bits) for bits in low], device=device)
    return stay[:, None], torch.arange(strides, device=device)[:, None] << 3 * AXIS_BITS


@cache
def _steps(step: int, device: torch.device) -> Tensor:
    """(27,) differences of the keys of a cell and its neighbours at a distance."""
    return torch.tensor([key_offset(*(step * axis for axis in offset)) for offset in kernel_offsets(3)], device=device)


def synchronises(tensor: Tensor) -> bool:
    """True if operations whose output size depends on the data make the host wait for the device."""
    return tensor.is_cuda


def _check_range(low: int, high: int) -> None:
    if low < -COORDINATE_LIMIT or high >= COORDINATE_LIMIT:
        raise InputError(
            f"coordinates: expected within ±{COORDINATE_LIMIT} voxels, got {low}..{high}; "
            "recentre the cloud or crop far outliers"
        )


def _ends(keys: Tensor) -> Tensor:
    """(N,) how many different ones there are among each of the sorted keys and those before it."""
    return torch.nn.functional.pad(keys[1:] != keys[:-1], (1, 0), value=True).cumsum(0)


def _same(value: Value) -> Value:
    return value


class CoordinateSet:
    """Unique coordinates of one tensor stride, sorted by key. Immutable; kernel maps between sets are cached on it.

    Attributes:
        keys: (N,) int64, sorted, unique.
        stride: tensor stride in voxels; every coordinate is a multiple of it.
        filled: True if nearly all neighbours of most cells are in the set, as in one that `expanded` makes.
    """

    filled = False

    def __init__(self, keys: Tensor, stride: int) -> None:
        """`keys` must be sorted and unique; `from_coordinates` takes any rows."""
        self.keys = keys
        self.stride = stride
        self._cache: dict[object, Any] = {}

    @classmethod
    def from_coordinates(cls, coords: Tensor, stride: int = 1) -> tuple[CoordinateSet, Tensor]:
        """The set of `coords` and, for each of its N rows, the first input row that has its coordinate.

        Args:
            coords: (M, 4) integer rows (batch, x, y, z); duplicates allowed.
            stride: tensor stride in voxels.

        Raises:
            InputError: a coordinate or batch index is out of the range that keys can hold.
        """
        coords = coords.long()
        if len(coords):
            # One transfer: on a GPU each transfer waits for all earlier work.
            extremes = torch.stack([*torch.aminmax(coords[:, 1:]), *torch.aminmax(coords[:, 0])])
            low, high, first_batch, last_batch = extremes.tolist()
            _check_range(low, high)
            if first_batch < 0 or last_batch >= MAX_BATCH:
                raise InputError(f"batch index: expected 0..{MAX_BATCH - 1}, got {first_batch}..{last_batch}")
        keys, rows = cls._sort_unique(pack(coords))
        return cls(keys, stride), rows

    @classmethod
    def pyramid(cls, cells: Tensor, strides: int) -> tuple[CoordinateSet, Tensor]:
        """The set of the cells of one scene, with the coarser sets that `downsampled` leads to.

        The host waits for a GPU once.

        Args:
            cells: (M, 3) int64 rows (x, y, z); duplicates allowed.
            strides: number of sets, the first of which has stride 1.

        Returns:
            The finest set and, for each of its N rows, the first input row that has its coordinate.

        Raises:
            InputError: a coordinate is out of the range that keys can hold.
        """
        if not synchronises(cells) or not len(cells):
            return cls.from_coordinates(torch.cat([cells.new_zeros(len(cells), 1), cells], 1))
        stay, numbers = _coarsening(strides, cells.device)
        keys = torch.add(cells[:, 2] + _ZERO, cells[:, 1], alpha=1 << AXIS_BITS)
        keys = keys.add_(cells[:, 0], alpha=1 << 2 * AXIS_BITS)
        # All sets side by side. The batch is 0: its bits are free for their numbers.
        every, order = torch.sort((keys & stay | numbers).view(-1), stable=True)
        ends = _ends(every)
        known = torch.cat([torch.stack(torch.aminmax(cells)), ends[len(cells) - 1 :: len(cells)]]).tolist()
        _check_range(*known[:2])
        places = torch.searchsorted(ends, torch.arange(1, known[-1] + 1, device=cells.device))
        unique = every[places] & (1 << 3 * AXIS_BITS) - 1
        counts = [last - before for before, last in pairwise([0, *known[2:]])]
        sets = [cls(part, 1 << k) for k, part in enumerate(unique.split(counts))]
        for fine, coarse in pairwise(sets):
            fine.cached("downsampled", partial(_same, coarse))
        return sets[0], order[places[: counts[0]]]

    @staticmethod
    def _sort_unique(keys: Tensor) -> tuple[Tensor, Tensor]:
        """The sorted unique keys of (N,) keys in any order, and the first row of each."""
        keys, order = torch.sort(keys, stable=True)
        first = torch.ones_like(keys, dtype=torch.bool)
        first[1:] = keys[1:] != keys[:-1]
        rows = first.nonzero()[:, 0]
        return keys[rows], order[rows]

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"CoordinateSet({len(self)} cells, stride {self.stride})"

    @property
    def coords(self) -> Tensor:
        """(N, 4) int64 rows (batch, x, y, z)."""
        return self.cached("coords", lambda: unpack(self.keys))

    def cached(self, name: object, make: Callable[[], Value]) -> Value:
        """`make()`, computed once per set and name.

        A name or value that refers to another set must do so weakly, unless this set made the other one: a circle of
        references keeps tensors until the garbage collector runs, which may be dozens of clouds later.
        """
        if name not in self._cache:
            self._cache[name] = make()
        return self._cache[name]

    def downsampled(self) -> CoordinateSet:
        """The coarser set of stride 2t: unique `floor(p / 2t)·2t`."""
        return self.cached("downsampled", self._downsample)

    def _downsample(self) -> CoordinateSet:
        # Strides are powers of two and the key's offset is a multiple of them, so rounding down is clearing low bits.
        return type(self)(self._coarse_keys(2 * self.stride - 1), 2 * self.stride)

    def _coarse_keys(self, clear: int) -> Tensor:
        """The sorted unique keys with the bits `clear` of each axis set to 0."""
        return torch.unique(self.keys & ~key_offset(clear, clear, clear))

    def expanded(self) -> CoordinateSet:
        """The finer set of stride t/2 that a generative transposed convolution makes: all `p + (t/2)·offset_k`."""
        return self.cached("expanded", self._expand)

    def _expand(self) -> CoordinateSet:
        return self._finer(self._fine_keys(self.stride // 2))

    def _finer(self, keys: Tensor) -> CoordinateSet:
        finer = type(self)(keys, self.stride // 2)
        finer.filled = True
        return finer

    def _fine_keys(self, half: int) -> Tensor:
        """The sorted unique keys of all 27 cells at steps of `half` about each cell."""
        if synchronises(self.keys):
            # One union: each makes the host wait.
            return torch.unique(self.keys[:, None] + _steps(half, self.keys.device))
        # One axis after the other: three small unions are cheaper than one of 27 times the rows.
        keys = self.keys
        for step in (key_offset(half, 0, 0), key_offset(0, half, 0), key_offset(0, 0, half)):
            keys = torch.unique(torch.cat([keys - step, keys, keys + step]))
        return keys

    def at_stride(self, stride: int) -> CoordinateSet:
        """The set that a convolution leads to from here: this one, the coarser one or the finer one.

        Raises:
            InputError: the stride is neither this set's own, nor twice or half of it.
        """
        if stride == self.stride:
            return self
        if stride == 2 * self.stride:
            return self.downsampled()
        if 2 * stride == self.stride:
            return self.expanded()
        raise InputError(f"stride: expected {self.stride}, its half or its double, got {stride}; go step by step")

    def expect(self, convolutions: Sequence[tuple[CoordinateSet, CoordinateSet]]) -> None:
        """Announces convolutions of kernel 3 that will follow: a class may make their maps together.

        Args:
            convolutions: inputs and outputs of each.
        """

    def kept(self, mask: Tensor) -> tuple[Tensor, CoordinateSet]:
        """The rows of an (N,) mask, ascending, and the set of those; on a GPU its `expanded` set is known too.

        The host waits for a GPU once, if the set is not very large.
        """
        steps = _steps(self.stride // 2, self.keys.device)
        if not synchronises(self.keys) or not 0 < len(self) * len(steps) <= _MOST_CANDIDATES:
            rows = mask.nonzero()[:, 0]
            return rows, self.subset(rows)
        candidates = torch.where(mask[:, None], self.keys[:, None] + steps, NO_KEY).view(-1).sort().values
        ends = _ends(candidates)
        numbers = mask.cumsum(0)
        kept, fine = torch.cat([numbers[-1:], ends[-1:]]).tolist()
        rows, fine_rows = (
            torch.searchsorted(sums, torch.arange(1, count + 1, device=mask.device))
            # The last of the candidates is no key unless all rows are kept.
            for sums, count in ((numbers, kept), (ends, fine - (kept < len(self))))
        )
        chosen = self.subset(rows)
        chosen.cached("expanded", partial(chosen._finer, candidates[fine_rows]))
        return rows, chosen

    def subset(self, rows: Tensor) -> CoordinateSet:
        """The given rows: (M,) row numbers, ascending, or an (N,) boolean mask."""
        return type(self)(self.keys[rows], self.stride)

    def find(self, keys: Tensor) -> Tensor:
        """Row of each key in this set, -1 if it is absent; `keys` int64 of any shape."""
        rows = torch.searchsorted(self.keys, keys)
        return torch.where(self.padded_keys[rows] == keys, rows, -1)

    @property
    def padded_keys(self) -> Tensor:
        """(N + 3,) the keys and, after them, keys that no coordinate has."""
        return self.cached("padded", lambda: torch.cat([self.keys, self.keys.new_full((3,), NO_KEY)]))

    def _find_sorted(self, keys: Tensor) -> Tensor:
        """`find` for keys that ascend."""
        return self.find(keys)

    def rows_of(self, other: CoordinateSet) -> Tensor:
        """(len(other),) row in this set of each of the other set's coordinates, -1 where absent; cached."""
        if other is self:
            return torch.arange(len(self), device=self.keys.device)
        return other.cached(("rows in", weakref.ref(self)), lambda: self._find_sorted(other.keys))

    def batch_counts(self, batch_size: int) -> list[int]:
        """Number of rows of each of the first `batch_size` batch entries (rows are grouped by batch)."""

        def count() -> list[int]:
            # Batch indices are compared, not keys: the end of the last batch would be a key of more than 63 bits.
            batches = torch.arange(1, batch_size + 1, device=self.keys.device)
            ends = torch.searchsorted(self.keys >> 3 * AXIS_BITS, batches)
            return ends.diff(prepend=batches.new_zeros(1)).tolist()

        return self.cached(("batch counts", batch_size), count)
