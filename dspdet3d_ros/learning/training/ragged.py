"""Background without objects, made ragged: bent, seen from one place, cut off, with holes.

Real rooms are rougher than generated ones. Nothing here has a label, so any change of the shapes is right.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dspdet3d_ros.geometry import inside_any
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene

#: How often each change is made.
_OFTEN = 0.5
#: Wave lengths of the bends in metres, and their amplitudes as a part of these.
_WAVE_M = (0.2, 1.2)
_AMPLITUDE = (0.01, 0.05)
#: How far the eye is, in plan and above the middle, metres.
_EYE_M = (1.2, 4.0)
_EYE_HEIGHT_M = (0.1, 1.5)
#: Two points of one line of sight at the middle's distance: they are so near each other, or so far behind, in metres.
_SIGHT_M = 0.025
_BEHIND_M = 0.06
#: Holes: radii along the axes in metres, and their number.
_HOLE_M = (0.03, 0.25)
_HOLES = (2, 10)
#: A change that leaves fewer points, or a smaller part of them, is not made.
_LEAST_POINTS = 500
_LEAST_PART = 0.25


def ragged(scene: LabelledScene, rng: np.random.Generator, scale: float = 1.0) -> LabelledScene:
    """The scene without objects and their points, after some of the changes.

    Args:
        scene: stays as it is. Regions to ignore lose their points, too.
        rng: source of chance.
        scale: factor of the lengths of the changes, see `degradation.degraded`.
    """
    xyz = scene.xyz
    xyz = xyz[scene.inst == 0] if scene.inst is not None else xyz[~inside_any(xyz, scene.boxes)]
    if scene.ignore is not None:
        xyz = xyz[~inside_any(xyz, scene.ignore)]
    xyz = xyz / np.float32(scale)
    if rng.random() < _OFTEN and len(xyz):
        xyz = _bent(xyz, rng)
    for kept_of in (_seen, _cut, _pierced):
        if rng.random() < _OFTEN and len(xyz):
            kept = kept_of(xyz, rng)
            xyz = xyz[kept] if kept.sum() >= max(_LEAST_POINTS, _LEAST_PART * len(xyz)) else xyz
    xyz = xyz * np.float32(scale)
    none = np.zeros(len(scene.boxes), bool)
    inst = None if scene.inst is None else np.zeros(len(xyz), scene.inst.dtype)
    return replace(scene.with_objects(none), xyz=xyz, inst=inst, rgb=None)


def _bent(xyz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The points displaced by three plane waves."""
    shift = np.zeros_like(xyz)
    for _ in range(3):
        wave, across = (direction / np.linalg.norm(direction) for direction in rng.normal(size=(2, 3)))
        length = rng.uniform(*_WAVE_M)
        phase = xyz @ np.float32(wave * 2 * np.pi / length) + np.float32(rng.uniform(0, 2 * np.pi))
        shift += np.float32(across * length * rng.uniform(*_AMPLITUDE)) * np.sin(phase)[:, None]
    return xyz + shift


def _seen(xyz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) whether a point is seen from one place: those behind others are not."""
    middle, angle, distance = xyz.mean(0), rng.uniform(0, 2 * np.pi), rng.uniform(*_EYE_M)
    away = [np.cos(angle) * distance, np.sin(angle) * distance, rng.uniform(*_EYE_HEIGHT_M)]
    x, y, z = (xyz - middle - away).T
    far = np.sqrt(x * x + y * y + z * z)
    sight = np.arctan2(y, x) - np.arctan2(-away[1], -away[0])
    # Angles about the way to the middle: their jump at half a turn lies behind the eye.
    sight = (sight + np.pi) % (2 * np.pi)
    cell = _SIGHT_M / np.linalg.norm(away)
    column, row = (sight / cell).astype(np.int64), (np.arcsin(z / np.maximum(far, 1e-6)) / cell + 1e4).astype(np.int64)
    _, of = np.unique(column * 100_000 + row, return_inverse=True)
    of = of.reshape(-1)
    nearest = np.full(of.max() + 1, np.inf, far.dtype)
    np.minimum.at(nearest, of, far)
    return far <= nearest[of] + _BEHIND_M


def _cut(xyz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) whether a point is on one side of a plane through one of them: the limit of a view."""
    way = rng.normal(size=3) * [1, 1, 0.5]
    return (xyz - xyz[rng.integers(len(xyz))]) @ np.float32(way) >= 0


def _pierced(xyz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) whether a point is outside of some ellipsoids about points: holes of depth images."""
    kept = np.ones(len(xyz), bool)
    for centre in xyz[rng.integers(len(xyz), size=rng.integers(*_HOLES))]:
        offset = (xyz - centre) / np.float32(rng.uniform(*_HOLE_M, 3))
        kept &= (offset * offset).sum(1) > 1
    return kept
