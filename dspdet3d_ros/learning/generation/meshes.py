"""Triangle meshes and the primitives that shapes and furniture are made of. Metres, z up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

#: Triangles of a mesh from a file at the most: one with more would take longer to scan than the rest of the scene.
MOST_FACES = 40_000
_BOX_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_BOX_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
    + [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
)


@dataclass(frozen=True)
class Mesh:
    """Triangles with a colour each.

    Args:
        vertices: (V, 3) float64, metres.
        faces: (F, 3) int64 rows of vertex numbers.
        colors: (F, 3) float32 red, green, blue in 0..255.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray

    def moved(self, offset: Sequence[float] | np.ndarray) -> Mesh:
        """The mesh shifted by `offset` (3,)."""
        return replace(self, vertices=self.vertices + np.asarray(offset, dtype=float))

    def rotated(self, rotation: np.ndarray) -> Mesh:
        """The mesh turned by a (3, 3) rotation about the origin."""
        return replace(self, vertices=self.vertices @ rotation.T)

    def scaled(self, factors: Sequence[float] | np.ndarray) -> Mesh:
        """The mesh stretched along x, y, z."""
        return replace(self, vertices=self.vertices * np.asarray(factors, dtype=float))

    def painted(self, color: Sequence[float] | np.ndarray) -> Mesh:
        """The mesh with every triangle of one colour."""
        return replace(self, colors=np.tile(np.asarray(color, np.float32), (len(self.faces), 1)))

    def grounded(self) -> Mesh:
        """The mesh centred in x and y by its extent and standing on z = 0."""
        low, high = self.bounds()
        return self.moved((-(low[0] + high[0]) / 2, -(low[1] + high[1]) / 2, -low[2]))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, (3,) each."""
        return self.vertices.min(axis=0), self.vertices.max(axis=0)

    def size(self) -> np.ndarray:
        """Extent along x, y, z, (3,)."""
        low, high = self.bounds()
        return high - low


def _mesh(vertices: np.ndarray, faces: np.ndarray) -> Mesh:
    return Mesh(np.asarray(vertices, float), np.asarray(faces), np.full((len(faces), 3), 128, np.float32))


def join(*meshes: Mesh) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)]),
        np.concatenate([mesh.colors for mesh in meshes]),
    )


def box(size: Sequence[float] | np.ndarray, center: Sequence[float] = (0.0, 0.0, 0.0)) -> Mesh:
    """An axis-aligned box."""
    return _mesh(_BOX_CORNERS * np.asarray(size, float) + np.asarray(center, float), _BOX_FACES)


def block(size: Sequence[float] | np.ndarray, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
    """A box that stands on height z with its middle at x, y."""
    return box(size, (x, y, z + size[2] / 2))


def tapered(bottom: Sequence[float], top: Sequence[float], height: float) -> Mesh:
    """A box on z = 0 whose top (width, depth) differs from its bottom."""
    unit = _BOX_CORNERS
    plan = np.where(unit[:, 2:] < 0, np.asarray(bottom, float), np.asarray(top, float))
    return _mesh(np.column_stack([unit[:, :2] * plan, (unit[:, 2] + 0.5) * height]), _BOX_FACES)


def revolve(profile: Sequence[tuple[float, float]], sides: int = 24) -> Mesh:
    """A surface of revolution about z from (radius, height) pairs."""
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    points = np.asarray(profile, float)
    ring = np.column_stack([np.cos(angles), np.sin(angles)])
    vertices = np.concatenate([np.column_stack([ring * r, np.full(sides, z)]) for r, z in points])
    here = np.arange(sides)
    there = (here + 1) % sides
    strips = []
    for start in range(0, (len(points) - 1) * sides, sides):
        strips.append(np.column_stack([start + here, start + there, start + sides + here]))
        strips.append(np.column_stack([start + there, start + sides + there, start + sides + here]))
    return _mesh(vertices, np.concatenate(strips))


def cylinder(radius: float, height: float, sides: int = 24) -> Mesh:
    """A closed cylinder on z = 0."""
    return revolve([(0, 0), (radius, 0), (radius, height), (0, height)], sides)


def ellipsoid(radii: Sequence[float] | np.ndarray, center: Sequence[float] = (0.0, 0.0, 0.0), sides: int = 18) -> Mesh:
    """An ellipsoid about `center`."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, max(6, sides // 2 + 1))
    unit = revolve([(np.cos(a), np.sin(a)) for a in angles], sides)
    return unit.scaled(radii).moved(center)


def tube(path: np.ndarray, radius: float, sides: int = 8) -> Mesh:
    """A round tube along the (P, 3) points of `path`."""
    path = np.asarray(path, float)
    along = np.gradient(path, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-12
    helper = np.where(np.abs(along[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    first = np.cross(along, helper)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(along, first)
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :, None]
    rings = path[:, None] + radius * (np.cos(angles) * first[:, None] + np.sin(angles) * second[:, None])
    number = np.arange(len(path) * sides).reshape(len(path), sides)
    a, b = number[:-1], np.roll(number, -1, axis=1)[:-1]
    c, d = number[1:], np.roll(number, -1, axis=1)[1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    return _mesh(rings.reshape(-1, 3), faces)


def arc(radius_x: float, radius_z: float, start: float, stop: float, points: int = 12) -> np.ndarray:
    """(points, 3) points of an elliptic arc in the x-z plane about the origin, angles in radians."""
    angles = np.linspace(start, stop, points)
    return np.column_stack([radius_x * np.cos(angles), np.zeros(points), radius_z * np.sin(angles)])


def prism(outline: np.ndarray, height: float) -> Mesh:
    """A convex (M, 2) outline raised from z = 0 to `height`."""
    count = len(outline)
    vertices = np.concatenate([np.column_stack([outline, np.full(count, z)]) for z in (0.0, height)])
    here = np.arange(count)
    there = (here + 1) % count
    sides = np.concatenate(
        [np.column_stack([here, there, count + here]), np.column_stack([there, count + there, count + here])]
    )
    inner = np.arange(1, count - 1)
    cap = np.column_stack([np.zeros_like(inner), inner, inner + 1])
    return _mesh(vertices, np.concatenate([sides, cap[:, ::-1], cap + count]))


def rounded_outline(width: float, depth: float, radius: float, steps: int = 4) -> np.ndarray:
    """(4 * steps, 2) outline of a rectangle with round corners, anticlockwise."""
    radius = min(radius, width / 2 - 1e-4, depth / 2 - 1e-4)
    corners = []
    for quarter, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        angles = (quarter + np.linspace(0, 1, steps)) * np.pi / 2
        middle = np.array([sx * (width / 2 - radius), sy * (depth / 2 - radius)])
        corners.append(middle + radius * np.column_stack([np.cos(angles), np.sin(angles)]))
    return np.concatenate(corners)
