"""Degradations of a cloud as other sensors and maps cause them: density, gaps, shards, noise, doubled surfaces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dspdet3d_ros.clouds.voxel_means import voxel_means
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene

#: Edges of the voxels that a cloud is averaged over, metres.
_VOXELS_M = (0.005, 0.01, 0.015, 0.02)
#: The largest standard deviation of the noise that is added, metres.
_MOST_NOISE_M = 0.006
#: How far the second copy of a surface can be from the first, metres.
_DOUBLE_M = (0.004, 0.012)


def degraded(scene: LabelledScene, rng: np.random.Generator, scale: float = 1.0) -> LabelledScene:
    """The scene after one to three of the changes, in the order in which a real system makes them.

    Boxes stay as they are. Every object keeps at least one of its points.

    Args:
        scene: stays as it is.
        rng: source of chance.
        scale: factor of the lengths of the changes. 1 fits maps of rooms; maps of nearer objects are finer.
    """
    if not len(scene.xyz):
        return scene
    scene = replace(scene, xyz=scene.xyz / np.float32(scale))
    changes = (doubled, noisy, with_gaps, with_shards, averaged)
    weights = np.array([0.12, 0.2, 0.2, 0.16, 0.32])
    chosen = rng.choice(len(changes), int(rng.integers(1, 4)), replace=False, p=weights)
    for number in sorted(chosen):
        scene = changes[number](scene, rng)
    return replace(scene, xyz=scene.xyz * np.float32(scale))


def doubled(scene: LabelledScene, rng: np.random.Generator) -> LabelledScene:
    """Half of the points moved a little: a surface that was seen from two poses with a drift between them."""
    way = rng.normal(size=3)
    shift = way / np.linalg.norm(way) * rng.uniform(*_DOUBLE_M)
    return replace(scene, xyz=scene.xyz + np.float32(shift) * (rng.random((len(scene.xyz), 1)) < 0.5))


def noisy(scene: LabelledScene, rng: np.random.Generator) -> LabelledScene:
    """White noise on the points."""
    deviation = np.float32(rng.uniform(0.001, _MOST_NOISE_M))
    return replace(scene, xyz=scene.xyz + deviation * rng.standard_normal(scene.xyz.shape, dtype=np.float32))


def with_gaps(scene: LabelledScene, rng: np.random.Generator) -> LabelledScene:
    """Only scan lines, with gaps between them: a surface far from a camera or lidar."""
    middle, direction = scene.xyz.mean(0), rng.uniform(0, 2 * np.pi)
    distance = rng.uniform(1.5, 5)
    eye = middle + np.array([np.cos(direction) * distance, np.sin(direction) * distance, rng.uniform(0.3, 1.5)])
    offset = scene.xyz - eye
    line = np.arctan2(offset[:, 2], np.hypot(offset[:, 0], offset[:, 1])) * distance / rng.uniform(0.015, 0.035)
    return _kept(scene, (line % 1) < rng.uniform(0.4, 0.8))


def with_shards(scene: LabelledScene, rng: np.random.Generator) -> LabelledScene:
    """Blocks of the background are missing, so that shards are left of its surfaces."""
    edge, seed = rng.uniform(0.05, 0.25), rng.integers(1 << 30)
    block = np.floor((scene.xyz + rng.uniform(0, 1, 3)) / edge).astype(np.int64)
    number = (block * (73856093, 19349663, 83492791)).sum(1) ^ seed
    there = (number * 2654435761 >> 12) % 1024 / 1024 > rng.uniform(0.2, 0.6)
    return _kept(scene, there if scene.inst is None else there | (scene.inst > 0))


def averaged(scene: LabelledScene, rng: np.random.Generator) -> LabelledScene:
    """One point in each voxel of some edge: the mean of its points, or its centre as in maps of voxels."""
    edge = rng.choice(_VOXELS_M)
    start = scene.xyz.min(0) - rng.uniform(0, edge, 3)
    voxels = voxel_means(scene.xyz - start, edge)
    xyz = ((voxels.cells + 0.5) * edge if rng.random() < 0.5 else voxels.means) + start
    inst = None
    if scene.inst is not None:
        # A voxel with points of an object is the object's, so that no object disappears.
        inst = np.zeros(len(xyz), scene.inst.dtype)
        objects = np.flatnonzero(scene.inst)
        inst[voxels.of[objects]] = scene.inst[objects]
    return replace(scene, xyz=xyz.astype(np.float32), inst=inst)


def _kept(scene: LabelledScene, there: np.ndarray) -> LabelledScene:
    """The scene with some of its points, and at least one of each object and of the scene."""
    if scene.inst is not None:
        there = there.copy()
        there[np.unique(scene.inst, return_index=True)[1]] = True
    elif not there.any():
        return scene
    return replace(scene, xyz=scene.xyz[there], inst=None if scene.inst is None else scene.inst[there])
