"""A rolling map of voxels: means of position, normal and colour, and who saw them when."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from dspdet3d_ros.mapping.frame import Camera
from dspdet3d_ros.mapping.key_index import KeyIndex

# 21 bits per axis, so that three indices fit into a key of 63 bits.
_BITS = 21
_HALF = 1 << (_BITS - 1)
_X, _Y = 1 << (2 * _BITS), 1 << _BITS
# The mean follows the latest measurements: earlier ones count like so many frames from a distance of one metre.
_MOST_WEIGHT = 1000.0
# Rows that one frame looks through. A larger map is looked through by several frames in turn.
LOOK_ROWS = 1 << 16
# A voxel is seen through if the frame measured a surface farther away than it, by this length and this fraction.
_BEHIND_M, _BEHIND = 0.02, 0.015
# If voxels are dropped, so many more are, so that this is rare.
_HEADROOM = 8
# If more than this fraction of the rows is removed, all rows are copied.
_MANY = 16
_FIRST_ROWS = 1 << 14

# Columns of `sums`: position relative to the voxel's centre, normal, colour, weight, weight of the colour.
POSITION, NORMAL, COLOUR, WEIGHT, COLOUR_WEIGHT = slice(0, 3), slice(3, 6), slice(6, 9), 9, 10
COLUMNS = 11


@dataclass(frozen=True)
class FrameVoxels:
    """The points of one frame, summed by voxel.

    Attributes:
        keys: (V,) int64, ascending.
        sums: (V, COLUMNS) float32.
    """

    keys: torch.Tensor
    sums: torch.Tensor


def keys_of(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """int64 keys of int64 voxel indices within ±2^20, of any shape."""
    return x * _X + y * _Y + (z + _HALF * (_X + _Y + 1))


def cells_of(keys: torch.Tensor) -> torch.Tensor:
    """(3, N) int64 voxel indices of keys; inverse of `keys_of`."""
    mask = _Y - 1
    return torch.stack([(keys >> (2 * _BITS)), (keys >> _BITS) & mask, keys & mask]) - _HALF


def _column(name: str) -> property:
    return property(lambda self: self._columns[name][: self._rows], doc=f"The column {name}, one entry per voxel.")


class VoxelMap:
    """Voxels in memory, one row each.

    Coordinates are metres relative to an origin that the caller chooses: within 2^20 voxels of it.

    Args:
        voxel_size: edge of the voxels, metres.
        max_voxels: maximum number of rows.
        device: where the rows are.

    Attributes:
        keys: (V,) int64; see `keys_of`.
        sums: (V, COLUMNS) float32.
        observations: (V,) int32 number of frames that measured the voxel.
        last_frame: (V,) int32 number of the last of them.
        last_stamp: (V,) float64 its time, seconds.
        seen_through: (V,) int16 number of looks through the voxel since then.
    """

    def __init__(self, voxel_size: float, max_voxels: int, device: str = "cpu") -> None:
        self.voxel_size, self.max_voxels, self.device = voxel_size, max_voxels, device
        self.index = KeyIndex(device)
        self._rows = 0
        self._next_look = 0
        self._columns = {
            "keys": torch.empty(0, dtype=torch.int64, device=device),
            "sums": torch.empty((0, COLUMNS), device=device),
            "observations": torch.empty(0, dtype=torch.int32, device=device),
            "last_frame": torch.empty(0, dtype=torch.int32, device=device),
            "last_stamp": torch.empty(0, dtype=torch.float64, device=device),
            "seen_through": torch.empty(0, dtype=torch.int16, device=device),
        }

    def __len__(self) -> int:
        """Number of voxels."""
        return self._rows

    keys = _column("keys")
    sums = _column("sums")
    observations = _column("observations")
    last_frame = _column("last_frame")
    last_stamp = _column("last_stamp")
    seen_through = _column("seen_through")

    @property
    def memory_bytes(self) -> int:
        """Memory that the rows and their index occupy."""
        return sum(column.nbytes for column in self._columns.values()) + self.index.memory_bytes

    def sum_points(
        self,
        xyz: torch.Tensor,
        normals: torch.Tensor,
        weights: torch.Tensor,
        rgb: torch.Tensor | None,
        coloured: torch.Tensor | None,
    ) -> FrameVoxels:
        """Sums the points of one frame by voxel.

        Args:
            xyz: (3, N) float32, metres from the map's origin. Points out of its reach are left out.
            normals: (3, N) float32 unit normals.
            weights: (N,) float32.
            rgb: (3, N) float32 or None.
            coloured: (N,) float32, 1 where `rgb` is known; None without colours.
        """
        scaled = xyz / self.voxel_size
        cells = torch.floor(scaled)
        if not len(weights):
            return FrameVoxels(weights.to(torch.int64), torch.zeros((0, COLUMNS), device=self.device))
        low, high = torch.stack([cells.amin(dim=1), cells.amax(dim=1)]).tolist()
        if min(low) <= 1 - _HALF or max(high) >= _HALF - 1:
            kept = (cells.abs() < _HALF - 1).all(dim=0).nonzero()[:, 0]
            rgb = None if rgb is None else rgb[:, kept]
            coloured = None if coloured is None else coloured[kept]
            return self.sum_points(xyz[:, kept], normals[:, kept], weights[kept], rgb, coloured)
        if rgb is None or coloured is None:
            rgb, coloured = torch.zeros_like(xyz), torch.zeros_like(weights)
        rows = torch.empty((len(weights), COLUMNS), device=self.device)
        parts = (*(scaled - cells - 0.5), *normals, *(rgb * coloured), torch.ones_like(weights), coloured)
        # On the CPU this is faster than a transposed copy.
        for column, values in enumerate(parts):
            rows[:, column] = values
        # Numbers in the order of the keys, of 32 bits if they suffice: these are sorted faster.
        _, ny, nz = sizes = [int(most - least) + 1 for least, most in zip(low, high, strict=True)]
        whole = cells.to(torch.int32 if math.prod(sizes) < 1 << 31 else torch.int64)
        start = whole.new_tensor(low)[:, None]
        x, y, z = whole - start
        numbers, order = torch.sort((x * ny + y) * nz + z)
        first = torch.ones(len(numbers), dtype=torch.bool, device=self.device)
        torch.ne(numbers[1:], numbers[:-1], out=first[1:])
        starts = first.nonzero()[:, 0]
        # Sums of parts of a table, by the numbers of their rows: one pass over the points.
        sums = F.embedding_bag(order, rows, starts, mode="sum", per_sample_weights=weights.index_select(0, order))
        at = order.index_select(0, starts)
        x, y, z = (axis.index_select(0, at).to(torch.int64) for axis in whole)
        return FrameVoxels(keys_of(x, y, z), sums)

    def insert(self, voxels: FrameVoxels, frame: int, stamp_s: float) -> int:
        """Adds one frame.

        Args:
            voxels: of the frame.
            frame: its number; frames are numbered in ascending order.
            stamp_s: its time, seconds.

        Returns:
            The number of voxels that are new.
        """
        rows = self.index.find(voxels.keys)
        known = (rows >= 0).nonzero()[:, 0]
        at = rows.index_select(0, known)
        sums = self.sums.index_select(0, at).add_(voxels.sums.index_select(0, known))
        self.sums.index_copy_(0, at, _limited(sums))
        self.observations.index_add_(0, at, torch.ones_like(at, dtype=torch.int32))
        self.last_frame.index_fill_(0, at, frame)
        self.last_stamp.index_fill_(0, at, stamp_s)
        self.seen_through.index_fill_(0, at, 0)
        new = (rows < 0).nonzero()[:, 0]
        if len(new):
            keys, start = voxels.keys.index_select(0, new), self._rows
            self._grow(len(new))
            self.keys[start:] = keys
            self.sums[start:] = voxels.sums.index_select(0, new)
            self.observations[start:] = 1
            self.last_frame[start:] = frame
            self.last_stamp[start:] = stamp_s
            self.seen_through[start:] = 0
            self.index.add(keys, start)
            if self._rows > self.max_voxels:
                self._drop_oldest()
        return len(new)

    def look_through(self, depth: torch.Tensor, camera: Camera, from_map: torch.Tensor, frame: int, times: int) -> int:
        """Removes voxels behind which frames measure a surface. One call looks at `LOOK_ROWS` voxels at most.

        Args:
            depth: (h, w) float32 metres of the frame, 0 where nothing was measured.
            camera: of `depth`.
            from_map: (4, 4) float32, map → camera.
            frame: the number of the frame.
            times: a voxel is removed if so many looks in a row see through it.

        Returns:
            The number of removed voxels.
        """
        if not self._rows:
            return 0
        start = self._next_look if self._next_look < self._rows else 0
        end = min(start + LOOK_ROWS, self._rows)
        part = slice(start, end)
        x, y, z = from_map[:3, :3] @ self.points(part) + from_map[:3, 3:]
        u = torch.floor(x / z * camera.fx + (camera.cx + 0.5))
        v = torch.floor(y / z * camera.fy + (camera.cy + 0.5))
        front = (z > 0) & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        front &= self.last_frame[part] != frame
        seen = front.nonzero()[:, 0]
        z = z.index_select(0, seen)
        pixels = (v * camera.width + u).index_select(0, seen).to(torch.int64)
        behind = _nearest_around(depth).flatten().index_select(0, pixels)
        through = seen[behind > z * (1 + _BEHIND) + _BEHIND_M] + start
        self.seen_through[through] += 1
        gone = (self.seen_through[part] >= times).nonzero()[:, 0] + start
        self._next_look = end if end < self._rows else 0
        self._remove(gone)
        return len(gone)

    def keep(self, chosen: torch.Tensor) -> None:
        """Removes the rows that a (V,) bool mask does not choose."""
        gone = (~chosen).nonzero()[:, 0]
        if len(gone) <= self._rows // _MANY:
            self._remove(gone)
            return
        rows = chosen.nonzero()[:, 0]
        for column in self._columns.values():
            column[: len(rows)] = column.index_select(0, rows)
        self.index.keep(chosen)
        self._rows = len(rows)

    def _remove(self, gone: torch.Tensor) -> None:
        """Removes rows by their numbers. The last rows take their places, so that this costs no more than they do."""
        if not len(gone):
            return
        left = self._rows - len(gone)
        stays = torch.ones(len(gone), dtype=torch.bool, device=self.device)
        stays[gone[gone >= left] - left] = False
        moved, to = stays.nonzero()[:, 0] + left, gone[gone < left]
        self.index.change(self.keys.index_select(0, gone), torch.full_like(gone, -1))
        self.index.change(self.keys.index_select(0, moved), to)
        for column in self._columns.values():
            column.index_copy_(0, to, column.index_select(0, moved))
        self._rows = left

    def points(self, rows: slice = slice(None)) -> torch.Tensor:
        """(3, N) float32 mean positions of rows, metres from the map's origin."""
        return self._places(self.keys[rows], self.sums[rows].T)

    def means(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(3, N) float32 mean positions of rows by their numbers, and (3, N) unit normals there."""
        sums = self.sums.index_select(0, rows).T.contiguous()
        return self._places(self.keys.index_select(0, rows), sums), F.normalize(sums[NORMAL], dim=0)

    def _places(self, keys: torch.Tensor, sums: torch.Tensor) -> torch.Tensor:
        """(3, N) float32 mean positions of voxels with (COLUMNS, N) sums."""
        centres = cells_of(keys).to(torch.float32) + 0.5
        return (centres + sums[POSITION] / sums[WEIGHT]) * self.voxel_size

    def _grow(self, more: int) -> None:
        needed = self._rows + more
        for name, column in self._columns.items():
            if len(column) < needed:
                # The limit keeps the memory bounded: doubling would go beyond it.
                size = max(needed, min(2 * len(column), self.max_voxels), _FIRST_ROWS)
                larger = torch.empty((size, *column.shape[1:]), dtype=column.dtype, device=self.device)
                larger[: self._rows] = column[: self._rows]
                self._columns[name] = larger
        self._rows = needed

    def _drop_oldest(self) -> None:
        kept = max(self.max_voxels - self.max_voxels // _HEADROOM, 1)
        # Rows with the same last frame: the later ones stay.
        newest = torch.argsort(self.last_frame, descending=False, stable=True)[-kept:]
        chosen = torch.zeros(self._rows, dtype=torch.bool, device=self.device)
        chosen[newest] = True
        self.keep(chosen)


def _limited(sums: torch.Tensor) -> torch.Tensor:
    """Sums whose weight does not grow without end."""
    return sums.div_((sums[:, WEIGHT] / _MOST_WEIGHT).clamp_(min=1)[:, None])


def _nearest_around(depth: torch.Tensor) -> torch.Tensor:
    """(h, w) depth of the nearest measurement among a pixel and its eight neighbours; 0 if the pixel has none."""
    far = torch.threshold(depth, 0.0, torch.inf)
    nearest = F.pad(far, (1, 1, 1, 1), value=torch.inf)
    nearest = torch.minimum(torch.minimum(nearest[:-2], nearest[1:-1]), nearest[2:])
    nearest = torch.minimum(torch.minimum(nearest[:, :-2], nearest[:, 1:-1]), nearest[:, 2:])
    return nearest.mul_((depth > 0).to(torch.float32)).nan_to_num_(0.0)
