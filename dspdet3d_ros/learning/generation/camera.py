"""Paths of a hand-held camera round the objects worth seeing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.generation.world import Focus, World

Generator = np.random.Generator


@dataclass(frozen=True)
class Pose:
    """The pose of a camera: `eye` (3,) metres; `axes` (3, 3), its columns the camera's right, down and forward."""

    eye: np.ndarray
    axes: np.ndarray


def look(eye: np.ndarray, at: np.ndarray) -> Pose:
    """The pose at `eye` looking at `at` with the horizon level."""
    forward = at - eye
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right) + 1e-9
    return Pose(eye, np.column_stack([right, np.cross(forward, right), forward]))


def room_path(world: World, rng: Generator) -> list[Pose]:
    """24 to 40 poses on arcs round the supports of a room; none where nothing stands."""
    if not world.focuses:
        return []
    total = int(rng.integers(24, 41))
    arcs = min(int(rng.integers(4, 8)), total // 5, len(world.focuses))
    weights = np.array([focus.weight for focus in world.focuses])
    chosen = rng.choice(len(weights), arcs, replace=False, p=weights / weights.sum())
    poses = []
    for k, index in enumerate(chosen):
        frames = total // arcs + (k < total % arcs)
        distance, rise, sweep = rng.uniform(0.7, 1.6), np.radians(rng.uniform(18, 50)), rng.uniform(0.6, 2.4)
        poses += arc_path(world, world.focuses[index], frames, rng, distance, distance * np.tan(rise), sweep)
    return poses


def table_path(world: World, frames: int, rng: Generator) -> list[Pose]:
    """`frames` poses round the objects on a table; none where nothing stands."""
    if not world.focuses:
        return []
    focus = world.focuses[0]
    sweep = rng.uniform(0.6, 4.0) if frames > 4 else rng.uniform(0.05, 0.5) * (frames - 1)
    distance, rise = rng.uniform(0.45, 1.0) + 0.3 * focus.radius, np.radians(rng.uniform(22, 60))
    return arc_path(world, focus, frames, rng, distance, min(distance * np.tan(rise), 1.2), sweep)


def arc_path(
    world: World, focus: Focus, frames: int, rng: Generator, distance: float, height: float, sweep: float
) -> list[Pose]:
    """Poses `distance` metres from the focus in plan and `height` above it, over `sweep` radians, shaken a little."""
    middle = _open_side(world, focus, distance, rng)
    sweep *= rng.choice([-1, 1])
    poses = []
    for k in range(frames):
        angle = middle + sweep * (k / max(frames - 1, 1) - 0.5)
        offset = np.array([distance * np.cos(angle), distance * np.sin(angle), height + rng.normal(0, 0.05)])
        eye = np.clip(focus.point + offset, *world.eye_limit)
        at = focus.point + rng.normal(0, 0.06 + 0.2 * focus.radius, 3) * [1, 1, 0.5]
        if np.linalg.norm((at - eye)[:2]) < 0.2:
            at = at + [0.3, 0.0, 0.0]
        pose = look(eye, at)
        rotation = rotate("z", world.yaw)
        poses.append(Pose(rotation @ pose.eye, rotation @ pose.axes))
    return poses


def _open_side(world: World, focus: Focus, distance: float, rng: Generator) -> float:
    """An angle about the focus from which an eye at `distance` is least cut off by walls, of eight random ones."""
    angles = rng.uniform(0, 2 * np.pi, 8)
    eyes = focus.point[:2] + distance * np.column_stack([np.cos(angles), np.sin(angles)])
    outside = np.abs(eyes - np.clip(eyes, world.eye_limit[0, :2], world.eye_limit[1, :2])).sum(axis=1)
    return float(angles[np.argmin(outside)])
