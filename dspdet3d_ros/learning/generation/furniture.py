"""Furniture with the places where objects can stand on it. Each piece stands on z = 0, its back towards +y."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.learning.generation.meshes import Mesh, block, box, cylinder, join, prism, rounded_outline
from dspdet3d_ros.learning.generation.vessels import paint

Generator = np.random.Generator


@dataclass(frozen=True)
class Board:
    """A flat place on a piece of furniture: its middle, its size, the free height above, whether a wall is behind."""

    x: float
    y: float
    z: float
    width: float
    depth: float
    headroom: float = 1.2
    back: bool = False


@dataclass(frozen=True)
class Piece:
    """A piece of furniture: its mesh, its boards, its plan (width, depth), whether it belongs to a wall."""

    mesh: Mesh
    boards: tuple[Board, ...]
    plan: tuple[float, float]
    at_wall: bool


def wood(rng: Generator) -> np.ndarray:
    """A colour of furniture, (3,)."""
    if rng.random() < 0.6:
        return np.clip(np.array([165, 125, 85]) * rng.uniform(0.4, 1.4), 0, 255)
    return paint(rng) * 0.5 + rng.uniform(60, 120)


def table(rng: Generator, width: float | None = None, depth: float | None = None, height: float | None = None) -> Piece:
    """A table: rectangular, round-cornered or round, on four legs or one foot."""
    width = width or rng.uniform(0.8, 1.8)
    depth = depth or rng.uniform(0.6, 1.0)
    height = height or (rng.uniform(0.68, 0.78) if rng.random() < 0.75 else rng.uniform(0.38, 0.5))
    thick, leg, color = rng.uniform(0.02, 0.045), rng.uniform(0.03, 0.07), wood(rng)
    round_top = rng.random() < 0.15
    if round_top:
        width = depth = min(width, 1.2)
    corner = width / 2 if round_top else rng.uniform(0.002, 0.08)
    outline = rounded_outline(width, depth, corner, 12 if round_top else 4)
    top = prism(outline, thick).moved((0, 0, height - thick))
    if round_top or rng.random() < 0.1:
        legs = [cylinder(leg, height - thick, 14), cylinder(min(width, depth) * 0.3, 0.03)]
    else:
        legs = [
            block((leg, leg, height - thick), sx * (width / 2 - leg), sy * (depth / 2 - leg))
            for sx in (-1, 1)
            for sy in (-1, 1)
        ]
    usable = 0.68 if round_top else 1.0
    board = Board(0, 0, height, width * usable - 0.02, depth * usable - 0.02)
    return Piece(
        join(top.painted(color), join(*legs).painted(color * 0.8)), (board,), (width, depth), rng.random() < 0.4
    )


def desk(rng: Generator) -> Piece:
    """A desk with a drawer block and panels."""
    width, depth, height = rng.uniform(1.1, 1.8), rng.uniform(0.6, 0.85), rng.uniform(0.7, 0.78)
    color, thick = wood(rng), 0.03
    drawers = block((0.42, depth * 0.9, height - 0.1), x=width / 2 - 0.25, z=0.04)
    panel = block((0.03, depth * 0.9, height - thick), x=-width / 2 + 0.03)
    back = block((width, 0.02, 0.3), y=depth / 2 - 0.05, z=height - 0.35)
    top = block((width, depth, thick), z=height - thick)
    mesh = join(top.painted(color), join(drawers, panel, back).painted(color * rng.uniform(0.6, 1.0)))
    return Piece(mesh, (Board(0, 0, height, width - 0.02, depth - 0.02),), (width, depth), True)


def shelf(rng: Generator) -> Piece:
    """A book shelf of three to five boards."""
    width, depth, height = rng.uniform(0.6, 1.2), rng.uniform(0.26, 0.4), rng.uniform(0.9, 2.0)
    levels, color, thick = np.linspace(0.08, height, int(rng.integers(3, 6))), wood(rng), 0.02
    parts = [block((width, depth, thick), z=z - thick) for z in levels]
    parts += [block((thick, depth, height), x=side * (width - thick) / 2) for side in (-1, 1)]
    has_back = rng.random() < 0.7
    if has_back:
        parts.append(block((width, 0.01, height), y=depth / 2 - 0.005))
    gaps = [*(np.diff(levels) - thick - 0.01), 0.6]
    boards = [
        Board(0, -0.006, z, width - 2 * thick - 0.01, depth - 0.02, gap, has_back)
        for z, gap in zip(levels, gaps, strict=True)
        if z < 1.5
    ]
    return Piece(join(*parts).painted(color), tuple(boards), (width, depth), True)


def counter(rng: Generator) -> Piece:
    """A kitchen counter, chest of drawers or cabinet, sometimes with a board on the wall above."""
    width, depth, height = rng.uniform(0.7, 2.2), rng.uniform(0.4, 0.65), rng.uniform(0.7, 0.95)
    color = wood(rng)
    body = block((width, depth - 0.03, height - 0.03), y=0.015).painted(color)
    top = block((width, depth, 0.03), z=height - 0.03).painted(wood(rng))
    fronts = []
    doors = max(1, int(width / 0.5))
    for k in range(doors):
        x = (k + 0.5) * width / doors - width / 2
        fronts.append(
            block((width / doors - 0.02, 0.012, height - 0.18), x, -depth / 2 + 0.028, 0.1).painted(color * 1.1)
        )
    boards = [Board(0, 0, height, width - 0.02, depth - 0.02, 0.5, True)]
    if rng.random() < 0.35:
        above = height + rng.uniform(0.5, 0.6)
        fronts.append(block((width, 0.25, 0.025), y=depth / 2 - 0.125, z=above - 0.025).painted(color))
        boards.append(Board(0, depth / 2 - 0.125, above, width - 0.02, 0.23, 0.5, True))
    return Piece(join(body, top, *fronts), tuple(boards), (width, depth), True)


def chair(rng: Generator) -> Piece:
    """A chair or a stool."""
    height, side, color = rng.uniform(0.42, 0.48), rng.uniform(0.38, 0.46), wood(rng)
    parts = [box((side, side, 0.035), (0, 0, height))]
    legs = [(sx, sy) for sx in (-1, 1) for sy in (-1, 1)]
    parts += [block((0.035, 0.035, height), sx * side * 0.45, sy * side * 0.45) for sx, sy in legs]
    if rng.random() < 0.85:
        parts.append(block((side, 0.03, rng.uniform(0.3, 0.5)), y=side / 2 - 0.015, z=height + 0.02))
    board = Board(0, -0.02, height + 0.0175, side - 0.04, side - 0.08, 0.6)
    return Piece(join(*parts).painted(color), (board,), (side, side), False)


def sofa(rng: Generator) -> Piece:
    """A sofa or armchair of boxes with cushions."""
    width, depth, seat = rng.uniform(0.8, 2.1), rng.uniform(0.75, 0.95), rng.uniform(0.36, 0.46)
    arm, back = rng.uniform(0.12, 0.22), rng.uniform(0.72, 0.92)
    parts = [block((width, depth, seat * 0.7)), block((width, 0.2, back), y=depth / 2 - 0.1)]
    parts += [block((arm, depth, seat + 0.18), x=side * (width - arm) / 2) for side in (-1, 1)]
    inner = width - 2 * arm
    seats = max(1, int(inner / 0.6))
    for k in range(seats):
        cushion = prism(rounded_outline(inner / seats - 0.01, depth - 0.22, 0.06), seat * 0.3)
        parts.append(cushion.moved(((k + 0.5) * inner / seats - inner / 2, -0.1, seat * 0.7)))
    return Piece(join(*parts).painted(paint(rng) * 0.7), (), (width, depth), rng.random() < 0.7)


def bin_or_case(rng: Generator) -> Piece:
    """Large clutter on the floor: a bin, a suitcase, a crate."""
    size = np.array([rng.uniform(0.3, 0.6), rng.uniform(0.22, 0.5), rng.uniform(0.35, 0.7)])
    mesh = cylinder(size[0] / 2, size[2]) if rng.random() < 0.3 else block(size)
    width, depth = mesh.size()[:2]
    return Piece(mesh.painted(paint(rng)), (), (float(width), float(depth)), False)


BEARING = (table, table, desk, shelf, counter, counter)
STANDING = (chair, chair, sofa, bin_or_case, bin_or_case)
