"""A world of one table with objects on it and a little of its surroundings; the table's face is z = 0."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.generation.catalogue import Catalogue
from dspdet3d_ros.learning.generation.crowd import fill, loose_clutter
from dspdet3d_ros.learning.generation.furniture import Piece, bin_or_case, chair, counter, desk, table
from dspdet3d_ros.learning.generation.meshes import block, box
from dspdet3d_ros.learning.generation.object_placement import Support
from dspdet3d_ros.learning.generation.shapes import TABLE_WEIGHTS
from dspdet3d_ros.learning.generation.vessels import paint
from dspdet3d_ros.learning.generation.world import World

Generator = np.random.Generator


def table_world(
    rng: Generator, style: str, catalogue: Catalogue | None = None, weights: Mapping[str, float] = TABLE_WEIGHTS
) -> tuple[World, float]:
    """A table set in `style` ("sparse", "crowded", "stacked") with objects of classes drawn by `weights`.

    Returns:
        The world, whose table face is z = 0, and the height of that face above the floor in metres.
    """
    piece = _bearer(rng)
    board = piece.boards[0]
    support = Support(board.width, board.depth, board.headroom, board.back)
    count = int(rng.integers(2, 7)) if style == "sparse" else int(rng.integers(3, 17))
    half = np.array([board.width, board.depth]) / 2
    middle = rng.uniform(-0.4, 0.4, 2) * half
    fill(support, count, style, weights, rng, middle, rng.uniform(0.12, 0.4), catalogue)
    world = World(yaw=rng.uniform(0, 2 * np.pi) if rng.random() < 0.6 else 0.0)
    down = np.array([0, 0, -board.z])
    world.add(piece.mesh.moved(down))
    extra = loose_clutter(support, rng) if rng.random() < 0.4 else []
    world.add_support(support, extra, 0.0, np.zeros(3))
    _surroundings(world, piece.plan, board.z, rng, at_wall=board.back or rng.random() < 0.4)
    return world, board.z


def _bearer(rng: Generator) -> Piece:
    chance = rng.random()
    if chance < 0.3:  # so large that a camera sees little else
        return table(rng, rng.uniform(1.4, 2.4), rng.uniform(0.9, 1.6), rng.uniform(0.5, 1.0))
    if chance < 0.65:
        return table(rng)
    return desk(rng) if chance < 0.82 else counter(rng)


def _surroundings(world: World, plan: tuple[float, float], height: float, rng: Generator, at_wall: bool) -> None:
    width, depth = plan
    world.add(box((7, 7, 0.02), (0, 0, -height - 0.01)).painted(rng.uniform(60, 190, 3)))
    if at_wall:
        behind = depth / 2 + (0.005 if rng.random() < 0.6 else rng.uniform(0.02, 0.4))
        world.eye_limit[1, 1] = behind - 0.1
        world.add(block((7, 0.02, 2.6), 0, behind + 0.01, -height).painted(rng.uniform(120, 235, 3)))
    for _ in range(int(rng.integers(0, 3))):
        yaw, side = rng.uniform(0, 2 * np.pi), rng.uniform(-0.6, 0.6) * width
        world.add(chair(rng).mesh.rotated(rotate("z", yaw)).moved((side, -depth / 2 - rng.uniform(0.2, 0.5), -height)))
    for _ in range(int(rng.integers(0, 4))):
        angle = rng.uniform(-np.pi, 0) if at_wall else rng.uniform(0, 2 * np.pi)
        away = np.array([np.cos(angle) * (width / 2 + 0.5), np.sin(angle) * (depth / 2 + 0.5), -height])
        world.add(bin_or_case(rng).mesh.rotated(rotate("z", rng.uniform(0, 3))).moved(away))
    if at_wall and rng.random() < 0.3:
        frame = box((rng.uniform(0.3, 0.8), 0.03, rng.uniform(0.3, 0.6)), (rng.uniform(-0.5, 0.5), behind - 0.015, 0.8))
        world.add(frame.painted(paint(rng)))
