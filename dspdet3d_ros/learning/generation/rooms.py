"""A world of one furnished room; its floor is z = 0 and its middle the origin."""

from __future__ import annotations

import numpy as np

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.generation.catalogue import Catalogue
from dspdet3d_ros.learning.generation.crowd import fill, loose_clutter
from dspdet3d_ros.learning.generation.furniture import BEARING, STANDING, Piece, chair
from dspdet3d_ros.learning.generation.meshes import Mesh, block, box, join
from dspdet3d_ros.learning.generation.object_placement import Support
from dspdet3d_ros.learning.generation.shapes import ROOM_WEIGHTS
from dspdet3d_ros.learning.generation.world import World

Generator = np.random.Generator
#: Thickness of a wall, metres.
WALL = 0.08


def room_world(rng: Generator, style: str, size: np.ndarray | None = None, catalogue: Catalogue | None = None) -> World:
    """A room whose supports carry 12 to 40 objects set in `style` ("sparse", "crowded", "stacked").

    `size` (3,) is its inside in metres, its walls then parallel to the axes; by default 3 to 6 m, sometimes turned.
    """
    turnable = size is None
    if size is None:
        size = room_size(rng)
    world = bare_room(size, rng, turnable)
    taken: list[np.ndarray] = []
    supports = _bearing(world, size, taken, rng)
    for _ in range(int(rng.integers(2, 6))):
        piece = STANDING[rng.integers(len(STANDING))](rng)
        place = free_place(piece, size, taken, rng)
        if place is not None:
            world.add(piece.mesh.rotated(rotate("z", place[0])).moved(place[1]))
    _set_objects(world, supports, style, rng, catalogue)
    return world


def room_size(rng: Generator) -> np.ndarray:
    """(3,) inside of a random room, metres."""
    return np.array([rng.uniform(3, 6), rng.uniform(3, 6), rng.uniform(2.3, 2.9)])


def bare_room(size: np.ndarray, rng: Generator, turnable: bool = True) -> World:
    """Floor and walls of a room of `size` (3,), sometimes turned if it is `turnable`."""
    limit = np.array(
        [[-size[0] / 2 + 0.15, -size[1] / 2 + 0.15, 0.6], [size[0] / 2 - 0.15, size[1] / 2 - 0.15, size[2] - 0.2]]
    )
    world = World(yaw=rng.uniform(0, 2 * np.pi) if turnable and rng.random() < 0.3 else 0.0, eye_limit=limit)
    world.add(box((size[0] + 4, size[1] + 4, 0.02), (0, 0, -0.01)).painted(rng.uniform(60, 190, 3)))
    color = np.clip(rng.uniform(150, 235) + rng.uniform(-25, 20, 3), 0, 255)
    for quarter in range(4):
        along, across = (size[0], size[1]) if quarter % 2 == 0 else (size[1], size[0])
        wall = _wall(along, size[2], rng).moved((0, across / 2 + WALL / 2, 0))
        world.add(wall.rotated(rotate("z", quarter * np.pi / 2)).painted(color))
    return world


def _wall(length: float, height: float, rng: Generator) -> Mesh:
    """A wall along x with up to two openings: doors from the floor, windows above a sill."""
    parts, x = [], -length / 2
    for _ in range(int(rng.integers(0, 3))):
        width = rng.uniform(0.8, 1.4)
        start = x + rng.uniform(0.3, 1.2)
        if start + width > length / 2 - 0.3:
            break
        parts.append(block((start - x, WALL, height), (start + x) / 2))
        door = rng.random() < 0.4
        low, high = (0.0, 2.05) if door else (rng.uniform(0.8, 1.1), rng.uniform(1.7, 2.1))
        middle = start + width / 2
        if low:
            parts.append(block((width, WALL, low), middle))
            parts.append(block((0.05, 0.05, high - low), middle, 0.0, low))
        parts.append(block((width, WALL, height - high), middle, 0.0, high))
        x = start + width
    parts.append(block((length / 2 - x, WALL, height), (length / 2 + x) / 2))
    return join(*parts)


def _bearing(
    world: World, size: np.ndarray, taken: list[np.ndarray], rng: Generator
) -> list[tuple[Support, list[Mesh], float, np.ndarray]]:
    """Set furniture that bears objects; returns (support, unlabelled extras, yaw, offset) of each board."""
    supports = []
    for number in range(int(rng.integers(3, 7))):
        piece = BEARING[0 if number == 0 else rng.integers(len(BEARING))](rng)
        place = free_place(piece, size, taken, rng)
        if place is None:
            continue
        yaw, offset = place
        rotation = rotate("z", yaw)
        world.add(piece.mesh.rotated(rotation).moved(offset))
        for board in piece.boards:
            support = Support(board.width, board.depth, board.headroom, board.back)
            extra = loose_clutter(support, rng) if board.headroom > 0.6 and rng.random() < 0.5 else []
            supports.append((support, extra, yaw, rotation @ [board.x, board.y, board.z] + offset))
        if piece.boards[0].headroom > 1 and rng.random() < 0.6:
            front = np.array([rng.uniform(-0.2, 0.2), -piece.plan[1] / 2 - rng.uniform(0.05, 0.3), 0])
            seat = chair(rng).mesh.rotated(rotate("z", np.pi + rng.uniform(-0.5, 0.5))).moved(front)
            world.add(seat.rotated(rotation).moved(offset))
    return supports


def free_place(
    piece: Piece, size: np.ndarray, taken: list[np.ndarray], rng: Generator
) -> tuple[float, np.ndarray] | None:
    """A yaw and an offset (3,) that keep the piece in the room and off what stands there; None if not found."""
    for _ in range(30):
        quarter = int(rng.integers(4))
        width, depth = piece.plan if quarter % 2 == 0 else piece.plan[::-1]
        room = size[:2] / 2 - np.array([width, depth]) / 2 - 0.02
        if (room < 0).any():
            continue
        xy = rng.uniform(-room, room)
        if piece.at_wall:
            axis, side = ((1, 1), (0, -1), (1, -1), (0, 1))[quarter]
            xy[axis] = side * room[axis]
        area = np.array([*xy, width / 2, depth / 2])
        if all((np.abs(area[:2] - other[:2]) > area[2:] + other[2:] + 0.2).any() for other in taken):
            taken.append(area)
            yaw = quarter * np.pi / 2 + (0.0 if piece.at_wall else rng.normal(0, 0.08))
            return yaw, np.array([*xy, 0.0])
    return None


def _set_objects(world: World, supports: list, style: str, rng: Generator, catalogue: Catalogue | None) -> None:
    total = int(rng.integers(14, 41))
    area = np.array([entry[0].width * entry[0].depth for entry in supports])
    counts = rng.multinomial(total, area / area.sum())
    for (support, extra, yaw, offset), count in zip(supports, counts, strict=True):
        middle = rng.uniform(-0.3, 0.3, 2) * [support.width, support.depth]
        fill(support, int(count), style, ROOM_WEIGHTS, rng, middle, rng.uniform(0.2, 0.6), catalogue)
        world.add_support(support, extra, yaw, offset)
