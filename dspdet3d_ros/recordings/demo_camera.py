"""A scene, such as the demo room, as a moving depth camera sees it: images are drawn from its points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT, FOCAL = 320, 240, 262.5
#: Each point is drawn as a square of this edge, so that surfaces of points 1.5 cm apart have no holes.
SPLAT_M = 0.022
#: Points so far behind the nearest one of a pixel are on the same surface.
SURFACE_M = 0.05
LEAST_DEPTH_M, MOST_DEPTH_M = 0.4, 4.0
#: Distance of the camera from the middle, as a share of the half room, and angle by which it looks down, degrees.
OUTWARD, INWARD = (0.15, 30.0), (0.85, 35.0)
CAMERA_HEIGHT_M = 1.45
#: Share of the time that each turn takes.
TURN = 0.44
#: A scene that is smaller is a table, metres: the camera is so far outside and above it.
TABLE_M, TABLE_HEIGHT_M = 2.5, 1.2
AROUND_M, ABOVE_M = 0.35, 0.6
#: Noise of depth, as a share of the squared depth in metres: that of a structured-light camera.
NOISE = 0.0012


@dataclass(frozen=True)
class View:
    """The view of the camera at one time.

    Attributes:
        time_s: since the start.
        pose: (4, 4) from the camera's optical frame (x right, y down, z forward) to the room, metres.
        depth_mm: (HEIGHT, WIDTH) uint16, 0 if there is nothing.
        colour: (HEIGHT, WIDTH, 3) uint8.
    """

    time_s: float
    pose: np.ndarray
    depth_mm: np.ndarray
    colour: np.ndarray


def camera_matrix() -> np.ndarray:
    """(3, 3) intrinsic matrix of the images, pixels."""
    return np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1.0]])


def views(xyz: np.ndarray, rgb: np.ndarray, count: int, rate_hz: float, seed: int = 0) -> Iterator[View]:
    """A camera that moves through a room, or around a scene as small as a table.

    In a room it turns twice: near the middle looking outward, then along the walls looking inward. Around a table it
    turns once and looks at the middle.

    Args:
        xyz: (N, 3) points of the scene, metres, z up.
        rgb: (N, 3) uint8.
        count: number of views.
        rate_hz: views per second.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    low, high = xyz.min(axis=0), xyz.max(axis=0)
    pose_at = _around_table if (high - low)[:2].max() < TABLE_M and (high - low)[2] < TABLE_HEIGHT_M else _through_room
    for number in range(count):
        pose = pose_at(number / count, low, high)
        depth, colour = draw(xyz, rgb, pose)
        depth += (depth > 0) * rng.normal(0, 1, depth.shape) * NOISE * depth**2
        yield View(number / rate_hz, pose, np.round(depth * 1000).astype(np.uint16), colour)


def _through_room(progress: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(4, 4) pose of the camera after a share of its way, in a room between two corners."""
    middle, half = (low + high) / 2, (high - low) / 2
    # Between the turns the camera moves backwards to the opposite wall.
    turned = np.interp(progress, (0, TURN, 1 - TURN, 1), (0, 1, 1, 2))
    change = np.interp(progress, (TURN, 1 - TURN), (0, 1))
    share, pitch = (1 - change) * OUTWARD[0] - change * INWARD[0], (1 - change) * OUTWARD[1] + change * INWARD[1]
    yaw = 2 * np.pi * turned
    place = middle + share * half * [np.cos(yaw), np.sin(yaw), 0]
    place[2] = low[2] + CAMERA_HEIGHT_M
    return _look(place, yaw, np.deg2rad(pitch))


def _around_table(progress: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(4, 4) pose of the camera after a share of its way, around a scene between two corners."""
    middle, half = (low + high) / 2, (high - low) / 2
    yaw = 2 * np.pi * progress
    distance = AROUND_M + float(half[:2].max())
    place = middle - distance * np.array([np.cos(yaw), np.sin(yaw), 0])
    place[2] = high[2] + ABOVE_M
    return _look(place, yaw, np.arctan2(place[2] - middle[2], distance))


def draw(xyz: np.ndarray, rgb: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(HEIGHT, WIDTH) depth in metres, 0 if no point is, and (HEIGHT, WIDTH, 3) colours. Near points cover far ones.

    Args:
        xyz: (N, 3) metres.
        rgb: (N, 3) uint8.
        pose: (4, 4) from the optical frame to the frame of `xyz`.
    """
    local = (xyz - pose[:3, 3]) @ pose[:3, :3]
    front = np.flatnonzero((local[:, 2] > LEAST_DEPTH_M) & (local[:, 2] < MOST_DEPTH_M))
    z = local[front, 2]
    k = camera_matrix()
    u = np.round(local[front, 0] / z * FOCAL + k[0, 2]).astype(np.int64)
    v = np.round(local[front, 1] / z * FOCAL + k[1, 2]).astype(np.int64)
    half = np.ceil(SPLAT_M / 2 * FOCAL / z).astype(np.int64)
    nearest = np.full(HEIGHT * WIDTH, np.inf)
    for _, some, pixel in _splats(u, v, half):
        np.minimum.at(nearest, pixel, z[some])
    # The mean over all points that cover a pixel lies on the surface; the nearest one alone lies in front of it.
    total, weights = np.zeros(HEIGHT * WIDTH), np.zeros(HEIGHT * WIDTH)
    tint = np.zeros((HEIGHT * WIDTH, 3), np.uint8)
    for reach, some, pixel in reversed(list(_splats(u, v, half))):
        same = z[some] < nearest[pixel] + SURFACE_M
        some, pixel, weight = some[same], pixel[same], 1 / (1 + reach**2)
        total += np.bincount(pixel, weight * z[some], HEIGHT * WIDTH)
        weights += weight * np.bincount(pixel, minlength=HEIGHT * WIDTH)
        tint[pixel] = rgb[front[some]]
    depth = np.divide(total, weights, out=np.zeros_like(total), where=weights > 0)
    return depth.reshape(HEIGHT, WIDTH), tint.reshape(HEIGHT, WIDTH, 3)


def _splats(u: np.ndarray, v: np.ndarray, half: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Distances from the centres of the squares, and for each the points and the pixels that these cover."""
    for reach in range(int(half.max(initial=0)) + 1):
        wide = np.flatnonzero(half >= reach)
        for dv, du in _ring(reach):
            x, y = u[wide] + du, v[wide] + dv
            inside = (x >= 0) & (x < WIDTH) & (y >= 0) & (y < HEIGHT)
            yield reach, wide[inside], y[inside] * WIDTH + x[inside]


def _ring(reach: int) -> list[tuple[int, int]]:
    """The offsets at this distance, in rows or columns."""
    line = range(-reach, reach + 1)
    return [(dv, du) for dv in line for du in line if max(abs(dv), abs(du)) == reach]


def _look(place: np.ndarray, yaw: float, pitch: float) -> np.ndarray:
    """(4, 4) pose of an optical frame that looks along `yaw` and down by `pitch`, radians."""
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(forward, right), forward, place
    return pose
