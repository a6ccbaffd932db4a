"""Surroundings of a container: ground, table, furniture, other containers, and small objects next to it.

Small solids that nobody labels would teach that boxes are background. So everything here is either far larger than a
labelled object, or a container, or a labelled object.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dspdet3d_ros.learning.generation.catalogue import Catalogue
from dspdet3d_ros.learning.generation.containers import Container, basin, crate, tote, tray
from dspdet3d_ros.learning.generation.crowd import fill
from dspdet3d_ros.learning.generation.furniture import wood
from dspdet3d_ros.learning.generation.meshes import block, box
from dspdet3d_ros.learning.generation.object_placement import Support
from dspdet3d_ros.learning.generation.shapes import BIN_WEIGHTS
from dspdet3d_ros.learning.generation.vessels import paint
from dspdet3d_ros.learning.generation.world import World

Generator = np.random.Generator
#: Height of what the container stands on, below its inner floor, metres.
_LEVEL = -0.02
#: A container that is so little above the ground stands on it, metres.
_ON_GROUND = 0.1
_NEIGHBOURS = (tote, tote, crate, tray, basin)


@dataclass
class _Plan:
    """Areas in plan that are taken, (4,) each: middle and half of the size; the first is that of the container."""

    areas: list[np.ndarray] = field(default_factory=list)

    def free(self, size: np.ndarray, gap: float, sides: list[np.ndarray], rng: Generator) -> np.ndarray | None:
        """(2,) middle of a free area of `size` (2,) metres, `gap` from one of the container's sides; None if taken."""
        middle, half = self.areas[0][:2], self.areas[0][2:]
        for _ in range(8):
            side = sides[rng.integers(len(sides))]
            along = rng.uniform(-1, 1, 2) * (half + 0.3 * size)
            place = middle + np.where(side == 0, along, side * (half + gap + size / 2))
            area = np.concatenate([place, size / 2])
            if all((np.abs(place - other[:2]) > size / 2 + other[2:]).any() for other in self.areas):
                self.areas.append(area)
                return place
        return None


def surround(
    world: World, container: Container, height: float, rng: Generator, catalogue: Catalogue | None = None
) -> None:
    """Add the ground, `height` metres below the container's inner floor, and up to three neighbours."""
    world.add(box((5, 5, 0.02), (0, 0, -height - 0.01)).painted(rng.uniform(60, 190, 3)))
    low, high = container.mesh.bounds()
    plan = _Plan([np.concatenate([(low + high)[:2], (high - low)[:2]]) / 2])
    on_table = height > _ON_GROUND and rng.random() < 0.7
    sides = [np.array(side) for side in ((-1, 0), (1, 0), (0, 1))]
    if not container.from_front:
        sides.append(np.array((0, -1)))
    standing = [plan.areas[0]]
    for _ in range(int(rng.integers(0, 4))):
        chance = rng.random()
        if chance < 0.35 or not (on_table or height <= _ON_GROUND):
            _furniture(world, plan, sides, height, rng)
        elif _small(world, plan, sides, rng, catalogue, chance < 0.7):
            standing.append(plan.areas[-1])
    if on_table:
        _table(world, standing, rng)


def _furniture(world: World, plan: _Plan, sides: list[np.ndarray], height: float, rng: Generator) -> None:
    """A wall, a machine or a cabinet: at least half a metre wide, from the ground up."""
    if rng.random() < 0.3:
        size = np.array([rng.uniform(1.5, 3.0), 0.05, height + rng.uniform(0.3, 1.0)])
    else:
        size = np.array([rng.uniform(0.5, 1.5), rng.uniform(0.3, 0.8), max(height + rng.uniform(-0.3, 0.25), 0.5)])
    flat = size[:2] if rng.random() < 0.5 else size[1::-1]
    place = plan.free(flat, rng.uniform(0.02, 0.3), sides, rng)
    if place is not None:
        world.add(
            block((*flat, size[2]), place[0], place[1], -height).painted(
                paint(rng) if rng.random() < 0.5 else wood(rng)
            )
        )


def _small(
    world: World, plan: _Plan, sides: list[np.ndarray], rng: Generator, catalogue: Catalogue | None, contained: bool
) -> bool:
    """Labelled objects next to the container, `contained` in another container or not; False if no place is free."""
    if contained:
        other = _NEIGHBOURS[rng.integers(len(_NEIGHBOURS))](rng)
        low, high = other.mesh.bounds()
        size, boards = (high - low)[:2], other.boards
        count, style = int(rng.integers(0, 7)), "crowded"
    else:
        size, boards = rng.uniform([0.2, 0.15], [0.45, 0.35]), ()
        count, style = int(rng.integers(1, 5)), "sparse"
    place = plan.free(size, rng.uniform(0.005, 0.12), sides, rng)
    if place is None:
        return False
    if contained:
        world.add(other.mesh.moved((*place, 0)))
    for x, y, z, width, depth in [(b.x, b.y, b.z, b.width, b.depth) for b in boards] or [(0.0, 0.0, _LEVEL, *size)]:
        support = Support(width, depth)
        fill(support, count, style, BIN_WEIGHTS, rng, np.zeros(2), max(width, depth) / 2, catalogue)
        world.add_objects(support.objects, 0.0, np.array([place[0] + x, place[1] + y, z]))
    return True


def _table(world: World, standing: list[np.ndarray], rng: Generator) -> None:
    """The board under everything that stands next to each other."""
    areas = np.array(standing)
    low = (areas[:, :2] - areas[:, 2:]).min(axis=0) - rng.uniform(0.05, 0.5, 2)
    high = (areas[:, :2] + areas[:, 2:]).max(axis=0) + rng.uniform(0.05, 0.5, 2)
    middle = (low + high) / 2
    world.add(block((*(high - low), 0.03), middle[0], middle[1], _LEVEL - 0.03).painted(wood(rng)))
