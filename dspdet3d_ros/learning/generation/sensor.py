"""A depth camera's faults: noise, quantisation, shadows, holes. All arrays are flat over the pixels of an image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

Generator = np.random.Generator
_BUMP_BLOCK = 8


@dataclass(frozen=True)
class Sensor:
    """A depth camera.

    Args:
        width, height: image size in pixels.
        focal: focal length in pixels of this image.
        axial: "kinect" (structured light) or "realsense" (active stereo): which law of axial noise.
        noise: factor on that law.
        jitter: sideways displacement, standard deviation in pixels.
        disparity: depth is rounded to disparity / n for whole n; metres.
        baseline: from projector or second eye to camera in metres, its sign the side of the shadow.
        near, far: range in metres.
    """

    width: int
    height: int
    focal: float
    axial: str
    noise: float
    jitter: float
    disparity: float
    baseline: float
    near: float
    far: float

    @cached_property
    def rays(self) -> np.ndarray:
        """(P, 3) float32 directions of the pixels in the camera's frame, with forward component 1."""
        v, u = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        x = (u - (self.width - 1) / 2) / np.float32(self.focal)
        y = (v - (self.height - 1) / 2) / np.float32(self.focal)
        return np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3).astype(np.float32)

    @cached_property
    def ray_lengths(self) -> np.ndarray:
        """(P,) float32 lengths of `rays`."""
        return np.linalg.norm(self.rays, axis=1)


def random_sensor(rng: Generator, single_view: bool) -> Sensor:
    """A Kinect-like (two thirds) or RealSense-like camera; finer and quieter for scenes of one to four views."""
    kinect = rng.random() < 0.67
    width, height = (480, 360) if single_view else (320, 240)
    quiet = rng.uniform(0.15, 0.6) if single_view else rng.uniform(0.8, 1.1)
    return Sensor(
        width=width,
        height=height,
        focal=width * rng.uniform(0.8, 1.0),
        axial="kinect" if kinect else "realsense",
        noise=quiet if kinect else quiet * 0.8,
        jitter=rng.uniform(0.0, 0.7) if single_view else 0.7,
        # Kinect: 7.5 cm baseline, 580 px, eighths of a pixel; D435: 5 cm, 420 px, 32nds. Other firmware rounds finer.
        disparity=0.075 * 580 * (rng.uniform(8, 16) if single_view else 8) if kinect else 0.05 * 420 * 32,
        baseline=(0.075 if kinect else 0.05) * (1 if rng.random() < 0.5 else -1),
        near=0.3,
        far=rng.uniform(2.2, 3.8) if kinect else rng.uniform(2.0, 3.5),
    )


def observe(
    sensor: Sensor, depth: np.ndarray, cosine: np.ndarray, gloss: np.ndarray, rng: Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The measurement of a true depth image.

    The axial noise is that of Nguyen, Izadi & Lovell, "Modeling Kinect Sensor Noise for Improved 3D Reconstruction and
    Tracking" (2012): 0.0012 + 0.0019 (z - 0.4)^2 m plus a term for grazing angles; for active stereo it grows with z^2
    and is smooth over some pixels.

    Args:
        sensor: the camera.
        depth: (P,) float32 true depth along the optical axis in metres; anything out of range where nothing is hit.
        cosine: (P,) float32 cosine between ray and surface normal.
        gloss: (P,) float32 how much of a surface returns nothing: the smooth field of unit variance below which holes
            are; -3 for none, -1.3 for a tenth, 0 for half of it.
        rng: source of chance.

    Returns:
        (M,) pixel numbers that got a depth, (M,) pixel numbers whose surface they really show (sideways jitter),
        and (M,) float32 measured depths.
    """
    valid = (depth > sensor.near) & (depth < sensor.far)
    z = np.where(valid, depth, np.float32(9.0))
    noisy = z + np.float32(sensor.noise) * _axial_error(sensor, z, cosine, rng)
    step = np.float32(sensor.disparity)
    noisy = step / np.rint(step / np.maximum(noisy, np.float32(0.05)))
    drop = ~valid | _edges(sensor, z, rng) | _shadow(sensor, z)
    drop |= (cosine < np.float32(0.17)) & (rng.random(len(z), dtype=np.float32) < np.float32(0.8))
    drop |= _bumps(sensor, rng) < gloss
    _patches(sensor, drop, rng)
    source = _jittered(sensor, rng)
    pixel = np.flatnonzero(~drop[source])
    source = source[pixel]
    return pixel, source, noisy[source]


def _axial_error(sensor: Sensor, z: np.ndarray, cosine: np.ndarray, rng: Generator) -> np.ndarray:
    white = rng.standard_normal(len(z), dtype=np.float32)
    if sensor.axial == "realsense":
        # 0.08 px of disparity error at 5 cm baseline and 420 px, most of it smooth.
        return np.float32(0.0038) * z * z * (np.float32(0.45) * white + np.float32(0.9) * _bumps(sensor, rng))
    sigma = np.float32(0.0012) + np.float32(0.0019) * (z - np.float32(0.4)) ** 2
    grazing = np.flatnonzero(cosine < 0.5)
    angle = np.arccos(np.clip(cosine[grazing], 0, 1))
    away = np.maximum(np.float32(np.pi / 2) - angle, np.float32(0.05))
    sigma[grazing] += np.float32(0.0001) / np.sqrt(z[grazing]) * angle**2 / away**2
    return sigma * white


def _bumps(sensor: Sensor, rng: Generator) -> np.ndarray:
    """Smooth noise of about unit variance: a coarse grid, interpolated."""
    rows, columns = sensor.height // _BUMP_BLOCK + 2, sensor.width // _BUMP_BLOCK + 2
    coarse = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(1.5)
    return (_interpolation(sensor.height, rows) @ coarse @ _interpolation(sensor.width, columns).T).ravel()


def _interpolation(fine: int, coarse: int) -> np.ndarray:
    """(fine, coarse) float32 matrix of linear interpolation."""
    place = np.arange(fine, dtype=np.float32) / _BUMP_BLOCK
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(coarse, dtype=np.float32)))


def _edges(sensor: Sensor, z: np.ndarray, rng: Generator) -> np.ndarray:
    """Nine tenths of the pixels next to a jump in depth."""
    image = z.reshape(sensor.height, sensor.width)
    jump = np.float32(0.03) + np.float32(0.015) * image
    edge = np.zeros(image.shape, bool)
    across = np.abs(image[:, 1:] - image[:, :-1]) > jump[:, 1:]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    down = np.abs(image[1:] - image[:-1]) > jump[1:]
    edge[1:] |= down
    edge[:-1] |= down
    beside = np.flatnonzero(edge.ravel())
    flat = np.zeros(len(z), bool)
    flat[beside[rng.random(len(beside)) < 0.9]] = True
    return flat


def _shadow(sensor: Sensor, z: np.ndarray) -> np.ndarray:
    """Pixels that the projector, or the second eye, does not see: its order along a row is broken there."""
    shift = np.float32(sensor.focal * abs(sensor.baseline)) / z.reshape(sensor.height, sensor.width)
    column = np.arange(sensor.width, dtype=np.float32)
    if sensor.baseline > 0:
        place = column + shift
        return (place < np.maximum.accumulate(place, axis=1) - np.float32(0.7)).ravel()
    place = column - shift
    least = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
    return (place > least + np.float32(0.7)).ravel()


def _patches(sensor: Sensor, drop: np.ndarray, rng: Generator) -> None:
    """Up to three round holes, in place."""
    image = drop.reshape(sensor.height, sensor.width)
    for _ in range(int(rng.integers(0, 4))):
        radius = int(rng.integers(4, 17))
        v, u = int(rng.integers(sensor.height)), int(rng.integers(sensor.width))
        low_v, low_u = max(v - radius, 0), max(u - radius, 0)
        part = image[low_v : v + radius + 1, low_u : u + radius + 1]
        rows, columns = np.ogrid[low_v : low_v + part.shape[0], low_u : low_u + part.shape[1]]
        part |= (rows - v) ** 2 + (columns - u) ** 2 < radius**2


def _jittered(sensor: Sensor, rng: Generator) -> np.ndarray:
    """(P,) the pixel that each pixel really shows, displaced by a rounded normal from a pool of 256."""
    count = sensor.width * sensor.height
    pixel = np.arange(count, dtype=np.int32)
    if sensor.jitter < 0.2:
        return pixel
    pool = np.rint(rng.standard_normal((256, 2)) * sensor.jitter).astype(np.int32)
    offsets = (pool[:, 0] + sensor.width * pool[:, 1])[np.frombuffer(rng.bytes(count), np.uint8)]
    reach = np.abs(pool).max()  # pixels at the rim show themselves: beyond a row's end lies the other side of the image
    rim = np.ones((sensor.height, sensor.width), bool)
    rim[reach:-reach, reach:-reach] = False
    offsets[rim.ravel()] = 0
    return pixel + offsets
