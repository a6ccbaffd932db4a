"""A world of one room full of furniture with few small objects or none, and a camera that looks across it."""

from __future__ import annotations

import numpy as np

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.generation.camera import Pose, look
from dspdet3d_ros.learning.generation.catalogue import FURNITURE, Catalogue
from dspdet3d_ros.learning.generation.crowd import fill
from dspdet3d_ros.learning.generation.furniture import BEARING, STANDING
from dspdet3d_ros.learning.generation.object_placement import Support
from dspdet3d_ros.learning.generation.rooms import bare_room, free_place, room_size
from dspdet3d_ros.learning.generation.shapes import ROOM_WEIGHTS
from dspdet3d_ros.learning.generation.upholstery import PIECES, piece_of
from dspdet3d_ros.learning.generation.world import Focus, World

Generator = np.random.Generator
#: The part of these rooms that hold no small object at all.
_WITHOUT_OBJECTS = 0.6


def interior_world(rng: Generator, catalogue: Catalogue | None = None) -> World:
    """A furnished room; most of its furniture bears nothing. Half of it is from the catalogue, if that has some."""
    size = room_size(rng)
    world = bare_room(size, rng)
    taken: list[np.ndarray] = []
    with_objects = rng.random() > _WITHOUT_OBJECTS
    for _ in range(int(rng.integers(1, 4))):
        piece = BEARING[rng.integers(len(BEARING))](rng)
        place = free_place(piece, size, taken, rng)
        if place is None:
            continue
        yaw, offset = place
        world.add(piece.mesh.rotated(rotate("z", yaw)).moved(offset))
        for board in piece.boards if with_objects else ():
            support = Support(board.width, board.depth, board.headroom, board.back)
            fill(support, int(rng.integers(0, 6)), "sparse", ROOM_WEIGHTS, rng, np.zeros(2), 0.4, catalogue)
            world.add_support(support, [], yaw, rotate("z", yaw) @ [board.x, board.y, board.z] + offset)
    for _ in range(int(rng.integers(6, 14))):
        kinds = PIECES if rng.random() < 0.85 else STANDING
        mesh = None if catalogue is None else catalogue.draw(FURNITURE, rng)
        piece = kinds[rng.integers(len(kinds))](rng) if mesh is None else piece_of(mesh)
        place = free_place(piece, size, taken, rng)
        if place is not None:
            yaw, offset = place
            if not piece.at_wall:
                yaw += rng.uniform(-np.pi, np.pi)
            world.add(piece.mesh.rotated(rotate("z", yaw)).moved(offset))
            world.focuses.append(Focus(offset + [0, 0, rng.uniform(0.2, 0.9)], 0.5, 2))
    return world


def interior_path(world: World, rng: Generator, single: bool) -> list[Pose]:
    """3 to 30 poses at one to three places from which the camera pans over the room, or 1 or 2 poses if `single`."""
    if not world.focuses:
        return []
    low, high = world.eye_limit
    poses = []
    for _ in range(1 if single else int(rng.integers(1, 4))):
        eye = rng.uniform(low + [0, 0, 0.2], [high[0], high[1], min(high[2], 1.7)])
        frames = int(rng.integers(1, 3)) if single else int(rng.integers(3, 11))
        for number in rng.choice(len(world.focuses), 1 + frames // 5):
            goal = world.focuses[number].point
            for _ in range(max(frames // (1 + frames // 5), 1)):
                place = eye + rng.normal(0, 0.12, 3) * [1, 1, 0.4]
                at = goal + rng.normal(0, 0.3, 3) * [1, 1, 0.3]
                if np.linalg.norm((at - place)[:2]) < 0.5:
                    at = at + (at - place) / max(np.linalg.norm(at - place), 0.1) * [1, 1, 0] + [0.3, 0, 0]
                pose = look(place, at)
                rotation = rotate("z", world.yaw)
                poses.append(Pose(rotation @ pose.eye, rotation @ pose.axes))
    return poses
