"""A rolling map of voxels: means of position, normal and colour, and who saw them when."""

from __future__ import annotations

from dataclasses import dataclass

import torch

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


def keys_of(cells: torch.Tensor) -> torch.Tensor:
    """(N,) int64 keys of (N, 3) int64 voxel indices within ±2^20."""
    return (cells[:, 0] + _HALF) * _X + (cells[:, 1] + _HALF) * _Y + (cells[:, 2] + _HALF)


def cells_of(keys: torch.Tensor) -> torch.Tensor:
    """(N, 3) int64 voxel indices of keys; inverse of `keys_of`."""
    mask = _Y - 1
    return torch.stack([(keys >> (2 * _BITS)), (keys >> _BITS) & mask, keys & mask], dim=1) - _HALF


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
            xyz: (N, 3) float32, metres from the map's origin. Points out of its reach are left out.
            normals: (N, 3) float32 unit normals.
            weights: (N,) float32.
            rgb: (N, 3) float32 or None.
            coloured: (N,) float32, 1 where `rgb` is known; None without colours.
        """
        scaled = xyz / self.voxel_size
        cells = torch.floor(scaled)
        inside = (cells.abs() < _HALF - 1).all(dim=1)
        if not bool(inside.all()):
            kept = inside.nonzero()[:, 0]
            rgb = None if rgb is None else rgb[kept]
            coloured = None if coloured is None else coloured[kept]
            return self.sum_points(xyz[kept], normals[kept], weights[kept], rgb, coloured)
        rows = torch.empty((len(xyz), COLUMNS), device=self.device)
        rows[:, POSITION] = scaled - cells - 0.5
        rows[:, NORMAL] = normals
        rows[:, COLOUR] = 0 if rgb is None else rgb
        rows[:, WEIGHT] = 1
        rows[:, COLOUR_WEIGHT] = 0 if coloured is None else coloured
        rows[:, COLOUR] *= rows[:, COLOUR_WEIGHT, None]
        rows *= weights[:, None]
        keys, order = torch.sort(keys_of(cells.to(torch.int64)))
        first = torch.ones(len(keys), dtype=torch.bool, device=self.device)
        torch.ne(keys[1:], keys[:-1], out=first[1:])
        group = torch.cumsum(first, 0) - 1
        unique = keys[first]
        sums = torch.zeros((len(unique), COLUMNS), device=self.device)
        sums.index_add_(0, group, rows[order])
        return FrameVoxels(unique, sums)

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
        known = rows >= 0
        at, sums = rows[known], voxels.sums[known]
        self.sums[at] = _limited(self.sums[at] + sums)
        self.observations[at] += 1
        self.last_frame[at] = frame
        self.last_stamp[at] = stamp_s
        self.seen_through[at] = 0
        keys = voxels.keys[~known]
        if len(keys):
            start = self._rows
            self._grow(len(keys))
            self.keys[start:] = keys
            self.sums[start:] = voxels.sums[~known]
            self.observations[start:] = 1
            self.last_frame[start:] = frame
            self.last_stamp[start:] = stamp_s
            self.seen_through[start:] = 0
            self.index.add(keys, start)
            if self._rows > self.max_voxels:
                self._drop_oldest()
        return len(keys)

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
        xyz = self.points(slice(start, end)) @ from_map[:3, :3].T + from_map[:3, 3]
        z = xyz[:, 2]
        front = z > 0
        u = torch.floor(xyz[:, 0] / z * camera.fx + camera.cx + 0.5)
        v = torch.floor(xyz[:, 1] / z * camera.fy + camera.cy + 0.5)
        front &= (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        front &= self.last_frame[start:end] != frame
        seen = front.nonzero()[:, 0]
        behind = _nearest_around(depth)[v[seen].to(torch.int64), u[seen].to(torch.int64)]
        through = seen[behind > z[seen] * (1 + _BEHIND) + _BEHIND_M] + start
        self.seen_through[through] += 1
        gone = self.seen_through[start:end] >= times
        count = int(gone.sum())
        # After the last row comes the first one, not the rows that the next frame adds.
        self._next_look = end - count if end < self._rows else 0
        if count:
            keep = torch.ones(self._rows, dtype=torch.bool, device=self.device)
            keep[start:end] = ~gone
            self.keep(keep)
        return count

    def keep(self, chosen: torch.Tensor) -> None:
        """Removes the rows that a (V,) bool mask does not choose."""
        if bool(chosen.all()):
            return
        rows = chosen.nonzero()[:, 0]
        for column in self._columns.values():
            column[: len(rows)] = column[rows]
        self.index.keep(chosen)
        self._rows = len(rows)

    def points(self, rows: slice | torch.Tensor = slice(None)) -> torch.Tensor:
        """(N, 3) float32 mean positions of rows, metres from the map's origin."""
        sums = self.sums[rows]
        centres = cells_of(self.keys[rows]).to(torch.float32) + 0.5
        return (centres + sums[:, POSITION] / sums[:, WEIGHT, None]) * self.voxel_size

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
    excess = (sums[:, WEIGHT] / _MOST_WEIGHT).clamp(min=1)
    return sums / excess[:, None]


def _nearest_around(depth: torch.Tensor) -> torch.Tensor:
    """(h, w) depth of the nearest measurement among a pixel and its eight neighbours; 0 if the pixel has none."""
    far = torch.where(depth > 0, depth, torch.inf)
    nearest = torch.nn.functional.pad(far, (1, 1, 1, 1), value=torch.inf)
    nearest = torch.minimum(torch.minimum(nearest[:-2], nearest[1:-1]), nearest[2:])
    nearest = torch.minimum(torch.minimum(nearest[:, :-2], nearest[:, 1:-1]), nearest[:, 2:])
    return torch.where(depth > 0, nearest, 0.0)
