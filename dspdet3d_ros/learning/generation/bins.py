"""A world of one container with objects in it; its inner floor is z = 0."""

from __future__ import annotations

import numpy as np

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.generation.bin_surroundings import surround
from dspdet3d_ros.learning.generation.camera import Pose, look
from dspdet3d_ros.learning.generation.catalogue import Catalogue
from dspdet3d_ros.learning.generation.containers import CONTAINERS, Container
from dspdet3d_ros.learning.generation.crowd import fill
from dspdet3d_ros.learning.generation.object_placement import Support
from dspdet3d_ros.learning.generation.shapes import BIN_WEIGHTS, draw_name, make_shape
from dspdet3d_ros.learning.generation.world import World

Generator = np.random.Generator


def bin_world(rng: Generator, style: str, catalogue: Catalogue | None = None) -> tuple[World, Container, float]:
    """A container set in `style`: "sparse", "crowded", "stacked", or "heap".

    Returns:
        The world, the container, and the height of its inner floor above the ground in metres.
    """
    container = CONTAINERS[rng.integers(len(CONTAINERS))](rng)
    world = World(yaw=rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else 0.0)
    world.add(container.mesh)
    for board in container.boards:
        support = Support(board.width, board.depth, board.headroom)
        count = int(rng.integers(1, 6)) if container.from_front or style == "sparse" else int(rng.integers(3, 15))
        half = np.array([board.width, board.depth]) / 2
        if style == "heap":
            count += int(rng.integers(0, 8))
            _heap(support, count, rng, catalogue, container.height + 0.08)
        else:
            fill(support, count, style, BIN_WEIGHTS, rng, rng.uniform(-0.4, 0.4, 2) * half, half.max(), catalogue)
        world.add_support(support, [], 0.0, np.array([board.x, board.y, board.z]))
    height = 0.02 if rng.random() < 0.3 else rng.uniform(0.4, 1.0)
    surround(world, container, height, rng, catalogue)
    return world, container, height


def _heap(support: Support, count: int, rng: Generator, catalogue: Catalogue | None, top: float) -> None:
    """Lets objects fall in random poses, each the lowest of some, up to the height `top`."""
    half = np.array([support.width, support.depth]) / 2
    for _ in range(3 * count):
        if len(support.objects) == count:
            return
        shape = make_shape(draw_name(rng, BIN_WEIGHTS, catalogue), rng, catalogue)
        places = rng.uniform(-0.85, 0.85, (4, 2)) * half
        support.drop(shape, places, rng, top)


def bin_path(world: World, container: Container, frames: int, rng: Generator) -> list[Pose]:
    """`frames` poses that look into the container; none where nothing lies."""
    if not world.focuses:
        return []
    focus = world.focuses[rng.integers(len(world.focuses))]
    distance = rng.uniform(0.4, 1.0) + 0.3 * max(container.plan) * (not container.from_front)
    if container.from_front:
        rise, middle, sweep = rng.uniform(0.0, 0.5), -np.pi / 2 + rng.uniform(-0.5, 0.5), rng.uniform(0, 0.8)
        distance += container.plan[1] / 2
    else:
        rise, middle, sweep = rng.uniform(0.75, 1.5), rng.uniform(0, 2 * np.pi), rng.uniform(0, 4.0)
    poses = []
    for k in range(frames):
        angle = middle + sweep * (k / max(frames - 1, 1) - 0.5)
        way = np.array([np.cos(angle) * np.cos(rise), np.sin(angle) * np.cos(rise), np.sin(rise)])
        at = focus.point + rng.normal(0, 0.05, 3) * [1, 1, 0.3]
        pose = look(at + way * distance + rng.normal(0, 0.02, 3), at)
        rotation = rotate("z", world.yaw)
        poses.append(Pose(rotation @ pose.eye, rotation @ pose.axes))
    return poses
