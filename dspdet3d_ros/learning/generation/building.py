"""A building: furnished rooms side by side in a grid, with a wall between each two."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from dspdet3d_ros import __version__
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.extents import moved_extents
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.datasets.scene_files import load_scene, save_scene, subset_of
from dspdet3d_ros.learning.generation.rooms import WALL
from dspdet3d_ros.learning.generation.scene import room_scene, thinned
from dspdet3d_ros.output_files import make_folder

#: Inside of every room, metres.
ROOM_SIZE = (4.8, 4.2, 2.6)
#: What a room takes of the plan with its share of the walls, metres.
PITCH = (ROOM_SIZE[0] + WALL, ROOM_SIZE[1] + WALL)
ROOM_AREA = PITCH[0] * PITCH[1]
STANDARD_ROOMS = 16
#: Points of a room at the most: sixteen rooms then stay below what the detector takes of a cloud by default.
ROOM_POINTS = 300_000
_LEAST_THINGS = 5
# One walk looks at half of the furniture; a building that is scanned on purpose is seen from more sides.
_WALKS = 2
_CHAIN = 5
_TAGS = ("accumulated",)


def generate_building(seed: int, rooms: int = STANDARD_ROOMS, folder: Path | None = None) -> LabelledScene:
    """The building of a seed: the same seed and number give the same arrays.

    The grid has as many columns as the root of the number of rooms, rounded up. Room k is the same in the buildings of
    any number of rooms that have it. The floor is z = 0, and the middle of the grid the origin.

    Args:
        seed: 0 or more.
        rooms: 1 or more.
        folder: where rooms are kept from one call to the next, rounded to half a millimetre; made if missing.

    Raises InputError for numbers below those, a folder that cannot be used, or a missing ray casting library.
    """
    for name, value, least in (("seed", seed, 0), ("rooms", rooms, 1)):
        if value < least:
            raise InputError(f"building: {name}: expected {least} or more, got {value}")
    return _joined([_moved(_kept_room(seed, k, folder), place) for k, place in enumerate(room_places(rooms))])


def room_places(rooms: int) -> np.ndarray:
    """(rooms, 3) middle of each room's floor, metres."""
    columns = math.ceil(math.sqrt(rooms))
    column, row = np.arange(rooms) % columns, np.arange(rooms) // columns
    plan = np.column_stack([column, row]) - np.array([columns - 1, row[-1]]) / 2
    return np.column_stack([plan * PITCH, np.zeros(rooms)])


def _kept_room(seed: int, number: int, folder: Path | None) -> LabelledScene:
    if folder is None:
        return _room(seed, number)
    make_folder(folder)
    path = folder / f"{__version__}-building{seed}-room{number}.npz"
    if not path.exists():
        save_scene(path, _room(seed, number))
    return load_scene(path)


def _room(seed: int, number: int) -> LabelledScene:
    size = np.array(ROOM_SIZE)
    # What is seen through doors and windows is left out: there the next room stands. A wall is shared by halves.
    reach = np.array(PITCH) / 2
    crop = np.array([*-reach, -0.2]), np.array([*reach, size[2] + 0.2])
    for attempt in range(20):
        scene = room_scene(np.random.default_rng([seed, _CHAIN, number, attempt]), size, _WALKS, crop)
        if len(scene.boxes) >= _LEAST_THINGS:
            break
    return thinned(scene, ROOM_POINTS, seed)


def _moved(scene: LabelledScene, place: np.ndarray) -> LabelledScene:
    shift = np.concatenate([place, np.zeros(3)]).astype(np.float32)
    return replace(
        scene,
        xyz=scene.xyz + shift[:3],
        boxes=scene.boxes + shift,
        full_boxes=None if scene.full_boxes is None else scene.full_boxes + shift,
        extents=None if scene.extents is None else moved_extents(scene.extents, place).astype(np.float32),
        ignore=None if scene.ignore is None else scene.ignore + shift,
    )


def _joined(scenes: list[LabelledScene]) -> LabelledScene:
    before = np.cumsum([0, *(len(scene.boxes) for scene in scenes[:-1])])
    inst = [np.where(s.inst > 0, s.inst + n, 0) for s, n in zip(scenes, before, strict=True) if s.inst is not None]
    # A room that an earlier version kept may have none.
    extents = [scene.extents for scene in scenes if scene.extents is not None]
    ignore = [scene.ignore for scene in scenes if scene.ignore is not None]
    return LabelledScene(
        name="",
        subset=subset_of("building", _TAGS),
        xyz=np.concatenate([scene.xyz for scene in scenes]),
        rgb=np.concatenate([scene.rgb for scene in scenes if scene.rgb is not None]),
        inst=np.concatenate(inst).astype(np.int32),
        boxes=np.concatenate([scene.boxes for scene in scenes]),
        full_boxes=np.concatenate([scene.full_boxes for scene in scenes if scene.full_boxes is not None]),
        names=tuple(name for scene in scenes for name in scene.names),
        exact=True,
        kind="building",
        tags=_TAGS,
        extents=np.concatenate(extents) if len(extents) == len(scenes) else None,
        ignore=np.concatenate(ignore) if ignore else None,
    )
