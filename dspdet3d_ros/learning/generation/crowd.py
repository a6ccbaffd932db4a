"""Filling a support with small objects: sparse, crowded or stacked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dspdet3d_ros.learning.generation.catalogue import Catalogue
from dspdet3d_ros.learning.generation.meshes import Mesh, block, join, tube
from dspdet3d_ros.learning.generation.object_placement import Support
from dspdet3d_ros.learning.generation.shapes import SLAB_WEIGHTS, Shape, draw_name, make_shape
from dspdet3d_ros.learning.generation.vessels import paint

Generator = np.random.Generator

# Per style: chance that the next object is stacked, leaned, pushed against another; otherwise it is set free.
_CHANCES = {"sparse": (0.03, 0.03, 0.06), "crowded": (0.15, 0.08, 0.5), "stacked": (0.5, 0.1, 0.25)}


def fill(
    support: Support,
    count: int,
    style: str,
    weights: Mapping[str, float],
    rng: Generator,
    middle: np.ndarray,
    spread: float,
    catalogue: Catalogue | None = None,
) -> None:
    """Add up to `count` objects to the support about `middle` (2,), `spread` metres wide; fewer where room is short."""
    goal = len(support.objects) + count
    for _ in range(count * 5):
        if len(support.objects) >= goal:
            return
        shape = make_shape(draw_name(rng, weights, catalogue), rng, catalogue)
        size = shape.mesh.size()
        if size[0] > support.width or size[1] > support.depth or size[2] > support.headroom:
            continue
        _add(support, shape, style, rng, middle, spread)


def _add(support: Support, shape: Shape, style: str, rng: Generator, middle: np.ndarray, spread: float) -> bool:
    stacked, leaning, touching = np.cumsum(_CHANCES[style])
    chance = rng.random()
    objects = support.objects
    if chance < stacked:
        carriers = [item for item in objects if item.carries and item.summit() < 0.4]
        if any(support.stack(shape, carriers[k], rng) for k in rng.permutation(len(carriers))[:3]):
            return True
    elif chance < leaning:
        if not shape.slab:
            shape = _slab(rng)
        tall = [item for item in objects if item.summit() > 0.07]
        wall = support.heights[0, -1] > 1
        if wall and (not tall or rng.random() < 0.4):
            return support.lean(shape, None, rng)
        if any(support.lean(shape, tall[k], rng) for k in rng.permutation(len(tall))[:3]):
            return True
    if objects and chance < touching:
        gap = 0.0 if rng.random() < 0.5 else rng.uniform(0.0, 0.03)
        if support.push_against(shape, objects[rng.integers(len(objects))], rng, gap):
            return True
    half = np.array([support.width, support.depth]) / 2
    near = rng.random() < 0.8
    xy = middle + rng.uniform(-1, 1, 2) * spread if near else rng.uniform(-half, half)
    return support.set_free(shape, np.clip(xy, -half, half), 0.04 if style == "sparse" else 0.008)


def _slab(rng: Generator) -> Shape:
    """A shape that can lean."""
    for _ in range(50):
        shape = make_shape(draw_name(rng, SLAB_WEIGHTS), rng)
        if shape.slab:
            break
    return shape


def loose_clutter(support: Support, rng: Generator) -> list[Mesh]:
    """Flat objects no one labels: sheets of paper, mats, cables. In the support's frame."""
    parts = []
    half = np.array([support.width, support.depth]) / 2
    for _ in range(int(rng.integers(0, 4))):
        xy = rng.uniform(-half, half) * 0.8
        if rng.random() < 0.6:
            size = np.array([0.21, 0.297]) * rng.uniform(0.5, 1.4)
            sheet = block((*np.minimum(size, half), rng.uniform(0.0004, 0.003))).moved(
                (*np.clip(xy, size / 2 - half, half - size / 2), 0)
            )
            parts.append(sheet.painted(rng.uniform(190, 250, 3) if rng.random() < 0.6 else paint(rng)))
        else:
            steps = np.cumsum(rng.normal(0, 0.5, 14)) + rng.uniform(0, 6.3)
            path = xy + np.cumsum(np.column_stack([np.cos(steps), np.sin(steps)]) * 0.04, axis=0)
            path = np.clip(path, -half, half)
            if (np.linalg.norm(np.diff(path, axis=0), axis=1) > 0.005).all():
                parts.append(tube(np.column_stack([path, np.full(len(path), 0.003)]), 0.0035, 6).painted((35, 35, 35)))
    return [join(*parts)] if parts else []
