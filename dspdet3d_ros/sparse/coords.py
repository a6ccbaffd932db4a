"""Integer coordinates of sparse tensors, packed into one sortable key each."""

from __future__ import annotations

import weakref
from collections.abc import Callable
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
#: Larger than every key; fills the end of look-ups.
NO_KEY = torch.iinfo(torch.int64).max


def pack(coords: Tensor) -> Tensor:
    """(N, 4) int64 rows (batch, x, y, z) -> (N,) int64 keys, ordered like the rows; z is the lowest digit."""
    b, x, y, z = coords.unbind(1)
    return (((b << AXIS_BITS | x + _OFFSET) << AXIS_BITS | y + _OFFSET) << AXIS_BITS) | z + _OFFSET


def unpack(keys: Tensor) -> Tensor:
    """(N,) int64 keys -> (N, 4) int64 rows (batch, x, y, z)."""
    z = (keys & _MASK) - _OFFSET
    y = (keys >> AXIS_BITS & _MASK) - _OFFSET
    x = (keys >> 2 * AXIS_BITS & _MASK) - _OFFSET
    return torch.stack([keys >> 3 * AXIS_BITS, x, y, z], 1)


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


def synchronises(tensor: Tensor) -> bool:
    """True if operations whose output size depends on the data make the host wait for the device."""
    return tensor.is_cuda


class CoordinateSet:
    """Unique coordinates of one tensor stride, sorted by key. Immutable; kernel maps between sets are cached on it.

    Attributes:
        keys: (N,) int64, sorted, unique.
        stride: tensor stride in voxels; every coordinate is a multiple of it.
    """

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
            if low < -COORDINATE_LIMIT or high >= COORDINATE_LIMIT:
                raise InputError(
                    f"coordinates: expected within ±{COORDINATE_LIMIT} voxels, got {low}..{high}; "
                    "recentre the cloud or crop far outliers"
                )
            if first_batch < 0 or last_batch >= MAX_BATCH:
                raise InputError(f"batch index: expected 0..{MAX_BATCH - 1}, got {first_batch}..{last_batch}")
        keys, rows = cls._sort_unique(pack(coords))
        return cls(keys, stride), rows

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
        half = self.stride // 2
        return type(self)(self._fine_keys(half), half)

    def _fine_keys(self, half: int) -> Tensor:
        """The sorted unique keys of all 27 cells at steps of `half` about each cell."""
        steps = (key_offset(half, 0, 0), key_offset(0, half, 0), key_offset(0, 0, half))
        keys = self.keys
        for step in steps:
            keys = torch.cat([keys - step, keys, keys + step])
            # One axis after the other: three small unions instead of one of 27 times the rows, if that is cheaper.
            if step == steps[-1] or not synchronises(keys):
                keys = torch.unique(keys)
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
