"""Labelled synthetic scenes: a random room or table, scanned by a random depth camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import box_between
from dspdet3d_ros.learning.datasets.extents import DIRECTIONS, moved_extents
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.datasets.scene_files import subset_of
from dspdet3d_ros.learning.generation.bins import bin_path, bin_world
from dspdet3d_ros.learning.generation.camera import room_path, table_path
from dspdet3d_ros.learning.generation.catalogue import Catalogue
from dspdet3d_ros.learning.generation.fusion import MOST_POINTS, fuse
from dspdet3d_ros.learning.generation.interiors import interior_path, interior_world
from dspdet3d_ros.learning.generation.rooms import room_world
from dspdet3d_ros.learning.generation.scan import Scan, scan
from dspdet3d_ros.learning.generation.sensor import random_sensor
from dspdet3d_ros.learning.generation.shapes import BENCH_WEIGHTS, TABLE_WEIGHTS
from dspdet3d_ros.learning.generation.tables import table_world
from dspdet3d_ros.learning.generation.world import World

#: The seeds of a kind depend on its place here.
KINDS = ("room", "table", "mixed", "bin", "bench", "interior")
STYLES = ("sparse", "crowded", "stacked")
#: An object is labelled if the scan sees at least this part of it (the limit of the BOP benchmarks of object poses) and
#: the cloud has at least so many points of it.
LEAST_VISIBLE = 0.1
LEAST_OBJECT_POINTS = 20
#: Voxels of single views, and of everything that is looked at from near, metres: `close` needs clouds as dense as that.
_FINE_VOXEL = 0.005
_LEAST_OBJECTS = {"room": 5, "table": 1, "bin": 1, "bench": 1, "interior": 0}
_LEAST_POINTS = {"interior": 5000}


def generate_scene(seed: int, kind: str = "mixed", catalogue: Catalogue | None = None) -> LabelledScene:
    """The scene of a seed: the same seed, kind and catalogue give the same arrays. Its boxes are exact, its name empty.

    A room has its floor at z = 0. A table scene has, chosen by the seed, the table's face or the floor at z = 0, and
    reaches 0.5 to 1.2 m around its objects; a "bench" is a table with thin and tiny objects. A "bin" is a container
    with objects in it; z = 0 is its inner floor or the ground. An "interior" is a room full of furniture with few
    objects or none. "mixed" is a table for three seeds of four, else a room.

    Raises InputError for an unknown kind, a negative seed, or if the ray casting library is not installed.
    """
    if kind not in KINDS:
        raise InputError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if seed < 0:
        raise InputError(f"seed: expected 0 or more, got {seed}")
    if kind == "mixed":
        kind = "table" if np.random.default_rng([seed, 2]).random() < 0.75 else "room"
    # A camera that looks the wrong way can leave nothing to label; the next attempt has a chain of its own.
    for attempt in range(20):
        rng = np.random.default_rng([seed, KINDS.index(kind), attempt])
        scene = _scene(kind, rng, catalogue)
        if len(scene.boxes) >= _LEAST_OBJECTS[kind] and len(scene.xyz) >= _LEAST_POINTS.get(kind, 0):
            break
    return scene


def _scene(kind: str, rng: np.random.Generator, catalogue: Catalogue | None) -> LabelledScene:
    if kind == "room":
        return room_scene(rng, catalogue=catalogue)
    if kind == "bin":
        return _bin(rng, catalogue)
    return _interior(rng, catalogue) if kind == "interior" else _table(rng, catalogue, kind)


def thinned(scene: LabelledScene, most: int, seed: int) -> LabelledScene:
    """The scene with at most `most` points, chosen at random by the seed; its boxes stay as they are."""
    if len(scene.xyz) <= most:
        return scene
    rows = np.sort(np.random.default_rng([seed, 3]).permutation(len(scene.xyz))[:most])
    rgb, inst = (None if part is None else part[rows] for part in (scene.rgb, scene.inst))
    return replace(scene, xyz=scene.xyz[rows], rgb=rgb, inst=inst)


def room_scene(
    rng: np.random.Generator,
    size: np.ndarray | None = None,
    walks: int = 1,
    crop: tuple[np.ndarray, np.ndarray] | None = None,
    catalogue: Catalogue | None = None,
) -> LabelledScene:
    """A furnished room, scanned.

    Args:
        rng: source of chance.
        size: see `room_world`.
        walks: how often the camera goes round the room.
        crop: lowest and highest corner of what is kept, metres.
        catalogue: where half of the objects come from; None makes all of them by formula.
    """
    style = str(rng.choice(STYLES, p=(0.3, 0.4, 0.3)))
    world = room_world(rng, style, size, catalogue)
    sensor = random_sensor(rng, single_view=False)
    poses = [pose for _ in range(walks) for pose in room_path(world, rng)]
    most = MOST_POINTS // (sensor.width * sensor.height)
    result = scan(world, poses[:most], sensor, rng, crop)
    return _label("room", world, result, 0.01, (style, "accumulated", sensor.axial), rng)


def _table(rng: np.random.Generator, catalogue: Catalogue | None, kind: str) -> LabelledScene:
    style = str(rng.choice(STYLES, p=(0.25, 0.4, 0.35)))
    world, height = table_world(rng, style, catalogue, BENCH_WEIGHTS if kind == "bench" else TABLE_WEIGHTS)
    single = rng.random() < 0.6
    frames = _frames(single, rng)
    sensor = random_sensor(rng, single)
    top_only, floor_zero = rng.random() < (0.6 if single else 0.3), rng.random() < 0.4
    lowest = -0.03 if top_only else -height - 0.1
    middle = np.mean([(item.low + item.high)[:2] / 2 for item in world.items] or [np.zeros(2)], axis=0)
    reach = rng.uniform(0.5, 0.9) if single else rng.uniform(0.6, 1.2)
    low, high = np.array([*(middle - reach), lowest]), np.array([*(middle + reach), 1.0])
    result = scan(world, table_path(world, frames, rng), sensor, rng, (low, high))
    tags = [style, "single_view" if single else "accumulated", sensor.axial]
    tags += ["floor_zero" if floor_zero else "table_zero"] + ["top_only"] * top_only
    lift = np.array([0, 0, height if floor_zero else 0.0])
    voxel = _FINE_VOXEL if single or kind == "bench" else 0.01
    return _label(kind, world, result, voxel, tuple(tags), rng, lift)


def _frames(single: bool, rng: np.random.Generator) -> int:
    return int(rng.integers(8, 19)) if not single else 1 if rng.random() < 0.65 else int(rng.integers(2, 5))


def _bin(rng: np.random.Generator, catalogue: Catalogue | None) -> LabelledScene:
    style = str(rng.choice((*STYLES, "heap"), p=(0.2, 0.25, 0.15, 0.4)))
    world, container, height = bin_world(rng, style, catalogue)
    single = rng.random() < 0.7
    sensor = random_sensor(rng, single)
    poses = bin_path(world, container, _frames(single, rng), rng)
    top_only, floor_zero = rng.random() < 0.6, rng.random() < 0.4
    # In some scenes hardly more than the inside, as where the place of the container is known.
    margin = rng.uniform(0.0, 0.04) if not world.yaw and rng.random() < 0.5 else rng.uniform(0.1, 0.6)
    reach = (np.array(container.plan) if not world.yaw else np.full(2, np.hypot(*container.plan))) / 2 + margin
    low = np.array([*-reach, -0.03 if top_only else -height - 0.1])
    high = np.array([*reach, container.height + rng.uniform(0.05, 0.4)])
    result = scan(world, poses, sensor, rng, (low, high), rng.uniform(0.5, 2.0))
    tags = (
        style,
        "single_view" if single else "accumulated",
        sensor.axial,
        "from_front" if container.from_front else "from_above",
    )
    lift = np.array([0, 0, height if floor_zero else 0.0])
    return _label("bin", world, result, _FINE_VOXEL, tags, rng, lift)


def _interior(rng: np.random.Generator, catalogue: Catalogue | None) -> LabelledScene:
    world = interior_world(rng, catalogue)
    single = rng.random() < 0.4
    sensor = random_sensor(rng, single)
    sensor = replace(sensor, far=rng.uniform(3.0, 6.0), noise=sensor.noise * rng.uniform(0.6, 1.6))
    poses = interior_path(world, rng, single)
    result = scan(world, poses, sensor, rng, drift_factor=rng.uniform(1.0, 5.0))
    keep_single = rng.uniform(0.15, 1.0) if len(poses) > 6 else 1.0
    tags = ("furniture", "single_view" if single else "accumulated", sensor.axial)
    return _label("interior", world, result, float(rng.choice([0.01, 0.01, 0.015])), tags, rng, keep_single=keep_single)


def _label(
    kind: str,
    world: World,
    result: Scan,
    voxel: float,
    tags: tuple[str, ...],
    rng: np.random.Generator,
    lift: np.ndarray | None = None,
    keep_single: float | None = None,
) -> LabelledScene:
    """Fuse a scan and box the objects. Those that are not seen well enough become regions to ignore."""
    lift = np.zeros(3) if lift is None else lift
    if not len(result.xyz):
        return _nothing(kind, tags)
    if keep_single is None:
        keep_single = 0.15 if "accumulated" in tags else 1.0
    fused = fuse(result.xyz, result.number, result.frame, voxel, keep_single, rng)
    surfaces = result.surfaces(fused.survives)
    boxes, full_boxes, extents, names, ignore = [], [], [], [], []
    points = np.bincount(fused.label, minlength=len(world.items) + 1)
    renumber = np.zeros(len(world.items) + 1, np.int32)
    for number, item in enumerate(world.items, start=1):
        surface = surfaces.get(number)
        if surface is None:
            continue
        box = _moved(box_between(surface.low, surface.high), surface.shift, lift)
        if result.visible[number - 1] < LEAST_VISIBLE or points[number] < LEAST_OBJECT_POINTS:
            ignore.append(box)
            continue
        boxes.append(box)
        full_boxes.append(_moved(box_between(item.low, item.high), surface.shift, lift))
        extents.append(moved_extents(surface.extents, surface.shift + lift))
        names.append(item.name)
        renumber[number] = len(names)
    return LabelledScene(
        name="",
        subset=subset_of(kind, tags),
        xyz=(fused.xyz + lift).astype(np.float32),
        rgb=result.colors(fused.sample, rng),
        inst=renumber[fused.label],
        boxes=np.array(boxes, np.float32).reshape(-1, 6),
        full_boxes=np.array(full_boxes, np.float32).reshape(-1, 6),
        names=tuple(names),
        exact=True,
        kind=kind,
        tags=tags,
        extents=np.array(extents, np.float32).reshape(-1, DIRECTIONS, 2),
        ignore=np.array(ignore, np.float32).reshape(-1, 6),
    )


def _moved(box: np.ndarray, *offsets: np.ndarray) -> np.ndarray:
    for offset in offsets:
        box[:3] += offset
    return box


def _nothing(kind: str, tags: tuple[str, ...]) -> LabelledScene:
    boxes = np.zeros((0, 6), np.float32)
    return LabelledScene(
        name="",
        subset=subset_of(kind, tags),
        xyz=np.zeros((0, 3), np.float32),
        rgb=np.zeros((0, 3), np.uint8),
        inst=np.zeros(0, np.int32),
        boxes=boxes,
        full_boxes=boxes,
        names=(),
        exact=True,
        kind=kind,
        tags=tags,
        extents=np.zeros((0, DIRECTIONS, 2), np.float32),
        ignore=boxes,
    )
