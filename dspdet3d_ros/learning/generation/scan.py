"""Scanning a world: rays, sensor faults and pose drift give labelled points of all frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.learning.datasets.extents import plan_extents
from dspdet3d_ros.learning.generation.camera import Pose
from dspdet3d_ros.learning.generation.occlusion import Visibility
from dspdet3d_ros.learning.generation.raycast import RayCaster, face_normals
from dspdet3d_ros.learning.generation.sensor import Sensor, observe
from dspdet3d_ros.learning.generation.world import World

Generator = np.random.Generator
_DRIFT = 0.0008  # metres a frame, random walk
_DRIFT_TURN = 0.0004  # radians a frame, random walk
_LIGHT = np.array([0.33, 0.43, 0.84], np.float32)


#: Percent of an object's surface points that its box leaves out at each end, as labels made by hand do.
_LEFT_OUT = 0.5


@dataclass(frozen=True)
class Surface:
    """The extent of the visible surface of an object; the true surface, without noise.

    Args:
        low, high: (3,) lowest and highest corner.
        extents: (D, 2) see `datasets.extents`.
        shift: (3,) mean displacement of its measured points: what drift did to the whole object.
    """

    low: np.ndarray
    high: np.ndarray
    extents: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Scan:
    """Points of all frames, M of them, and what they show.

    Args:
        xyz: (M, 3) float32 measured points in the frame of the scan.
        face: (M,) int32 the face each shows.
        number: (M,) int64 the instance number of that face.
        frame: (M,) int16 the frame each comes from.
        true: (T, 3) float32 places on the surfaces that the points of labelled objects show, without any fault.
        true_of: (T,) int64 the points they belong to.
        face_color: (F, 3) float32 shaded colour of each face.
        visible: (I,) seen part of each object, 0..1; see `Visibility.share`.
    """

    xyz: np.ndarray
    face: np.ndarray
    number: np.ndarray
    frame: np.ndarray
    true: np.ndarray
    true_of: np.ndarray
    face_color: np.ndarray
    visible: np.ndarray

    def surfaces(self, survives: np.ndarray) -> dict[int, Surface]:
        """The visible surface of each object, by its instance number.

        Only points that `survives` (M,) marks count. Surfaces reach from the 0.5th to the 99.5th percentile along each
        direction, as labels made by hand from points do.
        """
        chosen = survives[self.true_of]
        points, of = self.true[chosen], self.true_of[chosen]
        number = self.number[of]
        order = np.argsort(number, kind="stable")
        points, of, number = points[order], of[order], number[order]
        surfaces = {}
        for value, start, count in zip(*np.unique(number, return_index=True, return_counts=True), strict=True):
            part = slice(start, start + count)
            shift = (self.xyz[of[part]] - points[part]).mean(axis=0)
            low, high = np.percentile(points[part], (_LEFT_OUT, 100 - _LEFT_OUT), axis=0)
            surfaces[int(value)] = Surface(low, high, plan_extents(points[part], _LEFT_OUT), shift)
        return surfaces

    def colors(self, sample: np.ndarray, rng: Generator) -> np.ndarray:
        """(N, 3) uint8 colours of the points numbered `sample`, with a texture and noise."""
        color = self.face_color.take(self.face[sample], axis=0)
        wave = np.sin(self.xyz.take(sample, axis=0) @ rng.normal(0, 25, (3, 2)).astype(np.float32)).sum(axis=1)
        grain = 1 + np.float32(0.04) * wave + np.float32(0.04) * rng.standard_normal(len(sample), dtype=np.float32)
        return np.clip(color * grain[:, None], 0, 255).astype(np.uint8)


def scan(
    world: World,
    poses: list[Pose],
    sensor: Sensor,
    rng: Generator,
    crop: tuple[np.ndarray, np.ndarray] | None = None,
    drift_factor: float = 1.0,
) -> Scan:
    """Scan a world from `poses`; points outside the box `crop` (lowest, highest corner) are left out.

    `drift_factor` multiplies the drift of the poses.
    """
    mesh, face_number = world.whole()
    normals = face_normals(mesh)
    # Most surfaces return everywhere; some small objects, glass and polished metal, hardly at all.
    shine = np.where(np.array(world.numbers) > 0, 3.2, 1.5) * rng.random(len(world.meshes)) ** 3 - 3.5
    gloss = np.repeat(shine, [len(part.faces) for part in world.meshes]).astype(np.float32)
    caster, visibility = RayCaster(mesh), Visibility(world, sensor, crop)
    drift, turned = np.zeros(3), np.zeros(3)
    frames: list[tuple[np.ndarray, ...]] = []
    for number, pose in enumerate(poses):
        if number:
            drift = drift + rng.normal(0, _DRIFT * drift_factor, 3)
            turned = turned + rng.normal(0, _DRIFT_TURN * drift_factor, 3)
        believed = _drifted(pose, drift, turned)
        seen = _frame(caster, pose, sensor, (normals, gloss, face_number), believed, rng, visibility)
        if seen is not None:
            seen = seen if crop is None else _cropped(seen, crop)
            frames.append((*seen, np.full(len(seen[0]), number, np.int16)))
    shade = 0.55 + 0.45 * np.abs(normals @ _LIGHT)
    return _collect(frames, face_number, mesh.colors * shade[:, None], visibility.share())


def _frame(
    caster: RayCaster,
    pose: Pose,
    sensor: Sensor,
    faces: tuple[np.ndarray, np.ndarray, np.ndarray],
    believed: Pose,
    rng: Generator,
    visibility: Visibility,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """One frame: measured points, their faces, true places of labelled objects, and the points these belong to.

    `faces` are normal, gloss and instance number of each face. The frame is counted in `visibility`. None if the view
    is blocked.
    """
    normals, gloss, face_number = faces
    directions = sensor.rays @ pose.axes.T.astype(np.float32)
    depth, face = caster.cast(pose.eye, directions)
    if (depth < 0.35).mean() > 0.4:
        return None
    visibility.add(pose, directions, depth, np.where(face < 0, 0, face_number[face]))
    cosine = np.abs(np.einsum("ij,ij->i", directions, normals.take(face, axis=0))) / sensor.ray_lengths
    pixel, source, measured = observe(sensor, depth, cosine, gloss[face], rng)
    eye = believed.eye.astype(np.float32)
    points = (sensor.rays.take(pixel, axis=0) * measured[:, None]) @ believed.axes.T.astype(np.float32) + eye
    face = face[source]
    objects = np.flatnonzero(face_number[face] > 0)
    source = source[objects]
    true = directions.take(source, axis=0) * depth[source, None] + pose.eye.astype(np.float32)
    return points, face, true, objects


def _drifted(pose: Pose, drift: np.ndarray, turned: np.ndarray) -> Pose:
    """The pose that the camera believes to have; small angles (3,)."""
    x, y, z = turned
    rotation = np.array([[1, -z, y], [z, 1, -x], [-y, x, 1]])
    return Pose(pose.eye + drift, rotation @ pose.axes)


def _cropped(
    seen: tuple[np.ndarray, ...], crop: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    points, face, true, objects = seen
    low, high = (corner.astype(np.float32) for corner in crop)
    inside = np.logical_and.reduce((points > low) & (points < high), axis=1)
    kept = inside[objects]
    return points[inside], face[inside], true[kept], (np.cumsum(inside) - 1)[objects[kept]]


def _collect(
    frames: list[tuple[np.ndarray, ...]], face_number: np.ndarray, face_color: np.ndarray, visible: np.ndarray
) -> Scan:
    if not frames:
        none = np.zeros((0, 3), np.float32)
        index = np.zeros(0, np.int64)
        return Scan(none, index, index, index, none, index, face_color, visible)
    points, face, true, objects, number = zip(*frames, strict=True)
    starts = np.cumsum([0] + [len(part) for part in points[:-1]])
    faces = np.concatenate(face)
    return Scan(
        xyz=np.concatenate(points),
        face=faces,
        number=face_number[faces],
        frame=np.concatenate(number),
        true=np.concatenate(true),
        true_of=np.concatenate([part + start for part, start in zip(objects, starts, strict=True)]),
        face_color=face_color.astype(np.float32),
        visible=visible,
    )
