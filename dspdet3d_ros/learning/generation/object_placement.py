"""Resting places of small objects: a height map of a support on which shapes are set, pushed, stacked and leaned.

A support keeps, per cell of 4 mm, the height of what stands on it. An object is described by the lowest and highest
point of each of its cells; it rests where no cell overlaps another object, so nothing interpenetrates by more than a
cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.generation.meshes import Mesh
from dspdet3d_ros.learning.generation.raycast import RayCaster
from dspdet3d_ros.learning.generation.shapes import Shape, tilted_slab

CELL = 0.004
_TOUCH = 0.003
_DIRECTIONS = np.column_stack([np.cos(np.arange(12) * np.pi / 6), np.sin(np.arange(12) * np.pi / 6)])


@dataclass(frozen=True)
class Columns:
    """Lowest and highest point of a mesh per cell.

    Args:
        bottom: (A, B) metres, +inf where the mesh is not.
        top: (A, B) metres, -inf where the mesh is not.
        low: (2,) x and y of the first cell's corner in the mesh's frame.
    """

    bottom: np.ndarray
    top: np.ndarray
    low: np.ndarray


@dataclass
class Placed:
    """An object at rest in its support's frame: the mesh, the first cell it covers, its height span."""

    name: str
    mesh: Mesh
    start: np.ndarray
    columns: Columns
    base: float
    carries: bool
    how: str

    def middle(self) -> np.ndarray:
        """(2,) x and y of the middle of its extent."""
        low, high = self.mesh.bounds()
        return (low + high)[:2] / 2

    def summit(self) -> float:
        """Height of its highest point."""
        return float(self.mesh.vertices[:, 2].max())


def columns_of(mesh: Mesh) -> Columns:
    """The mesh's lowest and highest point per cell, by one ray up and one down through each cell's middle."""
    low, high = mesh.bounds()
    first = np.floor(low[:2] / CELL) * CELL
    count = np.maximum(np.ceil((high[:2] - first) / CELL).astype(int), 1)
    x, y = (first[k] + (np.arange(count[k]) + 0.5) * CELL for k in range(2))
    plan = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    caster = RayCaster(mesh)
    under, over = low[2] - 0.1, high[2] + 0.1
    up = np.tile(np.array([0, 0, 1], np.float32), (len(plan), 1))
    rise, hit = caster.cast(np.column_stack([plan, np.full(len(plan), under)]), up)
    fall, _ = caster.cast(np.column_stack([plan, np.full(len(plan), over)]), -up)
    bottom = np.where(hit >= 0, under + rise, np.inf).reshape(count)
    top = np.where(hit >= 0, over - fall, -np.inf).reshape(count)
    return Columns(bottom, np.maximum(top, np.where(np.isfinite(bottom), bottom, -np.inf)), first)


class Support:
    """A flat rectangle, `width` by `depth` metres about its origin, on which objects are set; z = 0 is its face.

    `headroom` is the height under the next board; `back` puts a wall along +y for objects to lean on.
    """

    def __init__(self, width: float, depth: float, headroom: float = 1.2, back: bool = False):
        self.width, self.depth, self.headroom = width, depth, headroom
        self.heights = np.zeros((max(int(width / CELL), 1), max(int(depth / CELL), 1)))
        self.objects: list[Placed] = []
        if back:
            self.heights[:, -2:] = 3.0

    def set_free(self, shape: Shape, xy: np.ndarray, gap: float) -> bool:
        """Set the shape on the bare support at `xy`, at least `gap` metres from others."""
        columns = columns_of(shape.mesh)
        start = self._start(columns, xy)
        ring = round(gap / CELL)
        a, b = columns.bottom.shape
        window = self.heights[
            max(start[0] - ring, 0) : start[0] + a + ring, max(start[1] - ring, 0) : start[1] + b + ring
        ]
        here = self._window(columns, start)
        if here is None or (ring and window.any()) or here[np.isfinite(columns.bottom)].any():
            return False
        return self._keep(shape, shape.mesh, columns, start, 0.0, "set")

    def push_against(self, shape: Shape, neighbour: Placed, rng: np.random.Generator, gap: float) -> bool:
        """Push the shape over the support towards a neighbour until it touches, then back by `gap` metres."""
        columns = columns_of(shape.mesh)
        way = _unit(rng.uniform(0, 2 * np.pi))
        found = self._slide(columns, neighbour.middle(), way, gap)
        return found is not None and self._keep(shape, shape.mesh, columns, found, 0.0, "touching")

    def stack(self, shape: Shape, carrier: Placed, rng: np.random.Generator) -> bool:
        """Let the shape down on a carrier, off its middle; kept only where it would stay."""
        columns = columns_of(shape.mesh)
        spread = carrier.mesh.size()[:2]
        for _ in range(3):
            start = self._start(columns, carrier.middle() + rng.uniform(-0.35, 0.35, 2) * spread)
            here = self._window(columns, start)
            if here is None:
                continue
            lift = here - columns.bottom
            base = float(lift.max())
            if base > 0.008 and columns.top.max() < 6 * _foothold(lift >= base - _TOUCH, columns):
                return self._keep(shape, shape.mesh, columns, start, base, "stacked")
        return False

    def drop(self, shape: Shape, places: np.ndarray, rng: np.random.Generator, top: float) -> bool:
        """Let the shape fall in a random pose at each of the places (P, 2); it stays where its middle is lowest.

        Nothing checks that it would stay there: objects in heaps support each other from all sides. It is not kept if
        its middle would be higher than `top`.
        """
        best = None
        for place in places:
            mesh = shape.mesh.rotated(rotate("x", rng.choice([0, 0.5, 1, 1.5]) * np.pi + rng.normal(0, 0.35)))
            mesh = (
                mesh.rotated(rotate("y", rng.normal(0, 0.35)))
                .rotated(rotate("z", rng.uniform(0, 2 * np.pi)))
                .grounded()
            )
            columns = columns_of(mesh)
            start = self._start(columns, place)
            here = self._window(columns, start)
            if here is None:
                continue
            base = max(float((here - columns.bottom).max()), 0.0)
            middle = base + columns.top.max() / 2
            if middle < top and (best is None or middle < best[0]):
                best = middle, mesh, columns, start, base
        if best is None:
            return False
        _, mesh, columns, start, base = best
        return self._keep(shape, mesh, columns, start, base, "stacked" if base > _TOUCH else "set")

    def lean(self, shape: Shape, against: Placed | None, rng: np.random.Generator) -> bool:
        """Lean a new slab of the shape's class against an object, or against the wall at the back if None."""
        tilted = tilted_slab(shape, rng)
        angle = -np.pi / 2 if against is None else rng.uniform(0, 2 * np.pi)
        mesh = tilted.rotated(rotate("z", angle)).grounded()
        columns = columns_of(mesh)
        x = rng.uniform(-0.5, 0.5) * self.width
        target = np.array([x, self.depth / 2]) if against is None else against.middle()
        found = self._slide(columns, target, _unit(angle), 0.0)
        if found is None:
            return False
        closer = np.round(-_unit(angle) * 1.5).astype(int)
        here = self._window(columns, found + closer)
        if here is None:
            return False
        hit = np.isfinite(columns.bottom) & (here > columns.bottom + 1e-6)
        # A slab held only near its foot would fall over.
        if not hit.any() or np.minimum(here, columns.top)[hit].max() < 0.45 * columns.top.max():
            return False
        return self._keep(shape, mesh, columns, found, 0.0, "leaning")

    def _slide(self, columns: Columns, target: np.ndarray, way: np.ndarray, gap: float) -> np.ndarray | None:
        """Last free first cell on the way to `target`, coming from `way`; None if the start is not free."""
        free = None
        for distance in np.arange(0.5, 0.0, -CELL):
            start = self._start(columns, target + way * distance)
            here = self._window(columns, start)
            if here is None:
                free = None
                continue
            if (here > columns.bottom + 1e-6).any():
                if free is None:
                    return None
                back = np.round(way * gap / CELL).astype(int)
                again = self._window(columns, free + back)
                return free + back if again is not None and not (again > columns.bottom + 1e-6).any() else None
            free = start
        return None

    def _start(self, columns: Columns, xy: np.ndarray) -> np.ndarray:
        corner = np.asarray(xy) + columns.low + [self.width / 2, self.depth / 2]
        return np.round(corner / CELL).astype(int)

    def _window(self, columns: Columns, start: np.ndarray) -> np.ndarray | None:
        """Heights under the columns; None if they reach over the edge."""
        stop = start + columns.bottom.shape
        if (start < 0).any() or (stop > self.heights.shape).any():
            return None
        return self.heights[start[0] : stop[0], start[1] : stop[1]]

    def _keep(self, shape: Shape, mesh: Mesh, columns: Columns, start: np.ndarray, base: float, how: str) -> bool:
        here = self._window(columns, start)
        if here is None or base + columns.top.max() > self.headroom:
            return False
        np.maximum(here, base + columns.top, out=here)
        xy = start * CELL - [self.width / 2, self.depth / 2] - columns.low
        moved = mesh.moved((xy[0], xy[1], base + 0.0003))
        carries = shape.carries and how != "leaning"
        self.objects.append(Placed(shape.name, moved, start, columns, base, carries, how))
        return True


def _unit(angle: float) -> np.ndarray:
    return np.array([np.cos(angle), np.sin(angle)])


def _foothold(contact: np.ndarray, columns: Columns) -> float:
    """Distance in metres from the middle of the plan to the rim of the touching cells, 0 if it would tip over.

    It would where the middle is not within the touching cells' hull by a quarter of the plan's reach on every side.
    """
    body = np.argwhere(np.isfinite(columns.bottom)) @ _DIRECTIONS.T
    touching = np.argwhere(contact & np.isfinite(columns.bottom)) @ _DIRECTIONS.T
    if len(touching) < 3:
        return 0.0
    middle = body.mean(axis=0)
    reach = touching.max(axis=0) - middle
    return float(reach.min() * CELL) if (reach > 0.25 * (body.max(axis=0) - middle)).all() else 0.0
