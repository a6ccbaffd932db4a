"""Containers with a floor that objects lie on, open above or in front. The inner floor is z = 0, the front faces -y."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.learning.generation.furniture import Board, wood
from dspdet3d_ros.learning.generation.meshes import Mesh, block, box, cylinder, join
from dspdet3d_ros.learning.generation.vessels import paint

Generator = np.random.Generator


@dataclass(frozen=True)
class Container:
    """A container.

    Args:
        mesh: its walls and floors.
        boards: the floors of its compartments.
        plan: outer width and depth, metres.
        height: of its walls above the inner floor, metres.
        from_front: whether it is looked into from the front instead of from above.
    """

    mesh: Mesh
    boards: tuple[Board, ...]
    plan: tuple[float, float]
    height: float
    from_front: bool = False


def tote(rng: Generator) -> Container:
    """A plastic box or carton with closed walls, some with a rim, dividers or flaps."""
    width, depth, height = rng.uniform(0.25, 0.65), rng.uniform(0.2, 0.45), rng.uniform(0.07, 0.35)
    wall, color = rng.uniform(0.002, 0.012), paint(rng)
    parts = _walls(width, depth, height, wall)
    if rng.random() < 0.5:
        lip = rng.uniform(0.01, 0.03)
        parts += [block((width + 2 * lip, lip, 0.01), y=s * (depth + lip) / 2, z=height - 0.01) for s in (-1, 1)]
        parts += [block((lip, depth, 0.01), x=s * (width + lip) / 2, z=height - 0.01) for s in (-1, 1)]
    if rng.random() < 0.2:
        divider = block((wall, depth, height * rng.uniform(0.6, 1.0)))
        half = width / 2 - wall
        boards = tuple(Board(s * width / 4, 0, 0, half - 2 * wall, depth - 2 * wall - 0.008) for s in (-1, 1))
        return Container(join(*parts, divider).painted(color), boards, (width, depth), height)
    return Container(join(*parts).painted(color), _inside(width, depth, wall), (width, depth), height)


def tray(rng: Generator) -> Container:
    """A flat tray."""
    width, depth, height = rng.uniform(0.25, 0.6), rng.uniform(0.18, 0.45), rng.uniform(0.012, 0.06)
    wall = rng.uniform(0.003, 0.015)
    mesh = join(*_walls(width, depth, height, wall)).painted(wood(rng) if rng.random() < 0.4 else paint(rng))
    return Container(mesh, _inside(width, depth, wall), (width, depth), height)


def crate(rng: Generator) -> Container:
    """A crate with walls of slats."""
    width, depth, height = rng.uniform(0.3, 0.65), rng.uniform(0.25, 0.45), rng.uniform(0.12, 0.32)
    wall = rng.uniform(0.008, 0.018)
    parts = [block((width, depth, wall), z=-wall)]
    parts += [
        block((wall * 1.5, wall * 1.5, height), sx * width / 2, sy * depth / 2) for sx in (-1, 1) for sy in (-1, 1)
    ]
    slats = int(rng.integers(2, 6))
    for k in range(slats):
        z, high = k * height / slats, height / slats * rng.uniform(0.5, 0.85)
        parts += [block((width, wall, high), y=s * (depth - wall) / 2, z=z) for s in (-1, 1)]
        parts += [block((wall, depth, high), x=s * (width - wall) / 2, z=z) for s in (-1, 1)]
    return Container(join(*parts).painted(wood(rng)), _inside(width, depth, 1.5 * wall), (width, depth), height)


def drawer(rng: Generator) -> Container:
    """A drawer that is pulled out of a chest."""
    width, depth, height = rng.uniform(0.3, 0.8), rng.uniform(0.25, 0.45), rng.uniform(0.06, 0.22)
    wall, color = 0.012, wood(rng)
    parts = _walls(width, depth, height, wall)
    front = box((width + 0.03, 0.018, height + 0.05), (0, -depth / 2 - 0.009, height / 2 + 0.01))
    handle = box((rng.uniform(0.08, 0.2), 0.02, 0.012), (0, -depth / 2 - 0.03, height * 0.6))
    behind, top = depth / 2, height + rng.uniform(0.02, 0.3)
    chest = block((width + 0.06, 0.4, top + 0.6), y=behind + 0.2, z=-0.6)
    mesh = join(join(*parts, front).painted(color), handle.painted(paint(rng)), chest.painted(color * 0.9))
    return Container(mesh, _inside(width, depth, wall), (width, depth), height)


def shelf_bins(rng: Generator) -> Container:
    """Shelf compartments or bins with a low front, looked into from the front."""
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    width, depth, height = rng.uniform(0.2, 0.4), rng.uniform(0.25, 0.45), rng.uniform(0.18, 0.35)
    wall, color = rng.uniform(0.004, 0.02), wood(rng) if rng.random() < 0.5 else paint(rng)
    whole = columns * width
    parts, boards = [], []
    for row in range(rows):
        z = row * height
        parts.append(block((whole, depth, wall), z=z - wall))
        lip = rng.uniform(0.0, 0.06)
        if lip > 0.01:
            parts.append(block((whole, wall, lip), y=-(depth - wall) / 2, z=z))
        for column in range(columns):
            x = (column + 0.5) * width - whole / 2
            inner = (width - wall - 0.01, depth - 2 * wall - 0.008)
            boards.append(Board(x, 0, z, *inner, height - wall - 0.005, False))
    parts += [block((wall, depth, rows * height), x=k * width - whole / 2) for k in range(columns + 1)]
    parts.append(block((whole, wall, rows * height), y=(depth + wall) / 2))
    parts.append(block((whole, depth, wall), z=rows * height))
    return Container(join(*parts).painted(color), tuple(boards), (whole, depth), rows * height, True)


def basin(rng: Generator) -> Container:
    """A round bowl, basket or bucket."""
    radius, height = rng.uniform(0.14, 0.26), rng.uniform(0.06, 0.25)
    sides = 20
    angles = np.arange(sides) * 2 * np.pi / sides
    edge = 2.05 * radius * np.tan(np.pi / sides)
    parts = [cylinder(radius, 0.006, sides).moved((0, 0, -0.006))]
    for angle in angles:
        c, s = np.cos(angle), np.sin(angle)
        plank = block((0.006, edge, height), radius)
        turned = plank.rotated(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]))
        parts.append(turned)
    side = radius * 1.35
    return Container(join(*parts).painted(paint(rng)), (Board(0, 0, 0, side, side),), (2 * radius, 2 * radius), height)


def _walls(width: float, depth: float, height: float, wall: float) -> list[Mesh]:
    """Floor and four walls."""
    parts = [block((width, depth, wall), z=-wall)]
    parts += [block((width, wall, height), y=s * (depth - wall) / 2) for s in (-1, 1)]
    return parts + [block((wall, depth, height), x=s * (width - wall) / 2) for s in (-1, 1)]


def _inside(width: float, depth: float, wall: float) -> tuple[Board, ...]:
    return (Board(0, 0, 0, width - 2 * wall - 0.008, depth - 2 * wall - 0.008),)


CONTAINERS = (tote, tote, tote, tray, crate, drawer, shelf_bins, shelf_bins, basin)
