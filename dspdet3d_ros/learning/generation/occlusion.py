"""The part of each object that a scan sees of it, compared with what it would see if nothing else were there."""

from __future__ import annotations

import itertools

import numpy as np

from dspdet3d_ros.learning.generation.camera import Pose
from dspdet3d_ros.learning.generation.raycast import RayCaster
from dspdet3d_ros.learning.generation.sensor import Sensor
from dspdet3d_ros.learning.generation.world import World

#: An object that reaches closer to the plane of the camera than this is looked for in the whole image, metres.
_BEHIND_M = 0.05


class Visibility:
    """Counts rays over the frames of a scan.

    Args:
        world: its items are the objects.
        sensor: says which rays an image has, and their range.
        crop: lowest and highest corner of the part of the world that is kept; None keeps all.
    """

    def __init__(self, world: World, sensor: Sensor, crop: tuple[np.ndarray, np.ndarray] | None) -> None:
        meshes = [mesh for mesh, number in zip(world.meshes, world.numbers, strict=True) if number]
        self._casters = [RayCaster(mesh) for mesh in meshes]
        ends = [mesh.bounds() for mesh in meshes]
        self._corners = [np.array(list(itertools.product(*zip(low, high, strict=True)))) for low, high in ends]
        self._sensor, self._crop = sensor, crop
        self._seen, self._possible = np.zeros(len(meshes)), np.zeros(len(meshes))

    def add(self, pose: Pose, directions: np.ndarray, depth: np.ndarray, number: np.ndarray) -> None:
        """Count a frame.

        Args:
            pose: of the camera.
            directions: (P, 3) the rays of all pixels in the frame of the scan.
            depth: (P,) true depth of each.
            number: (P,) instance number of what it hits, 0 for no object.
        """
        rays = np.flatnonzero(number)
        rays = rays[self._in_range(depth[rays])]
        if self._crop is not None:
            places = directions[rays] * depth[rays, None] + pose.eye
            low, high = self._crop
            rays = rays[np.logical_and.reduce((places > low) & (places < high), axis=1)]
        self._seen += np.bincount(number[rays] - 1, minlength=len(self._seen))
        for k, caster in enumerate(self._casters):
            pixels = self._pixels_about(pose, self._corners[k])
            if len(pixels):
                alone, face = caster.cast(pose.eye, directions[pixels])
                self._possible[k] += np.count_nonzero((face >= 0) & self._in_range(alone))

    def share(self) -> np.ndarray:
        """(I,) seen part of each object, 0..1: rays that hit it over rays that would hit it if it were alone."""
        return self._seen / np.maximum(self._possible, 1)

    def _in_range(self, depth: np.ndarray) -> np.ndarray:
        return (depth > self._sensor.near) & (depth < self._sensor.far)

    def _pixels_about(self, pose: Pose, corners: np.ndarray) -> np.ndarray:
        """Numbers of the pixels in a rectangle that holds the image of the corners (8, 3)."""
        width, height = self._sensor.width, self._sensor.height
        place = (corners - pose.eye) @ pose.axes
        ahead = place[:, 2] > _BEHIND_M
        if not ahead.any():
            return np.zeros(0, np.int64)
        if not ahead.all():
            return np.arange(width * height)
        middle = np.array([width - 1, height - 1]) / 2
        image = place[:, :2] / place[:, 2:] * self._sensor.focal + middle
        first = np.maximum(np.floor(image.min(axis=0)), 0).astype(int)
        last = np.minimum(np.ceil(image.max(axis=0)), [width - 1, height - 1]).astype(int)
        rows, columns = np.arange(first[1], last[1] + 1), np.arange(first[0], last[0] + 1)
        return (rows[:, None] * width + columns).ravel()
