"""Boxes that turn about the vertical with their objects.

The network's boxes are parallel to the axes of the cloud. A fitted box has the yaw at which the rectangle around the
points of the object, seen from above, has the least area. Points of the surface below do not count: they fill the whole
axis-parallel box.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.geometry import box_of_points, corners

#: Fewer points of an object give no direction.
FEWEST_POINTS = 20
#: A box turns only if that makes its base smaller than this part of the axis-parallel one: round objects do not turn.
LARGEST_AREA = 0.9
# The surface below an object is sought within this distance around its box, and this far above and below its bottom.
_RING_M, _LEVEL_M = 0.05, 0.03
_FEWEST_OF_SURFACE = 10
# Points up to this height above the surface belong to it: noise of depth cameras. Flat objects keep their upper half.
_SURFACE_M, _FLAT = 0.01, 0.5
# Points of other objects in the box: cells in plan, of which only those around the most points count.
_CELL_M = 0.015
# Percentage of the points that may lie beyond each side.
_LEFT_OUT = 1.0
_STEP_DEGREES = 1.0


def fit_orientations(cloud: PointCloud, detections: Detections) -> Detections:
    """The same detections with `turned` boxes.

    Args:
        cloud: in which they were found.
        detections: the detections.
    """
    boxes = detections.boxes
    turned = np.concatenate([boxes, np.zeros((len(boxes), 1))], axis=1)
    if not len(boxes):
        return replace(detections, turned=turned)
    # Near the boxes numbers are small enough for any type, and few points are left.
    around = _around(cloud.xyz, boxes)
    owner = box_of_points(around, boxes)
    for k, box in enumerate(boxes):
        own = around[owner == k]
        if len(own) >= FEWEST_POINTS:
            turned[k] = _fitted(box, own, around)
    return replace(detections, turned=turned)


def _around(xyz: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The points in boxes and in the rings around them, float64."""
    wider = boxes + np.array([0, 0, 0, 2 * _RING_M, 2 * _RING_M, 2 * _LEVEL_M])
    return xyz[box_of_points(xyz, wider) >= 0].astype(np.float64)


def _fitted(box: np.ndarray, own: np.ndarray, around: np.ndarray) -> np.ndarray:
    """(7,) centre, size and yaw of one box; its height stays."""
    plan = _of_object(box, own, around)
    unturned = np.append(box, 0.0)
    if len(plan) < FEWEST_POINTS:
        return unturned
    origin = box[:2]
    angles = np.radians(np.arange(0, 90, _STEP_DEGREES))
    along = _extents(plan - origin, angles)
    across = _extents(plan - origin, angles + np.pi / 2)
    areas = (along[:, 1] - along[:, 0]) * (across[:, 1] - across[:, 0])
    best = int(areas.argmin())
    if areas[best] > LARGEST_AREA * areas[0]:
        return unturned
    yaw = angles[best]
    (x_low, x_high), (y_low, y_high) = along[best], across[best]
    middle = np.array([x_low + x_high, y_low + y_high]) / 2
    size = np.array([x_high - x_low, y_high - y_low])
    c, s = np.cos(yaw), np.sin(yaw)
    centre = origin + np.array([c * middle[0] - s * middle[1], s * middle[0] + c * middle[1]])
    if yaw > np.pi / 4:
        # The same box with the smaller angle.
        yaw, size = yaw - np.pi / 2, size[::-1]
    return np.array([*centre, box[2], *size, box[5], yaw])


def _extents(plan: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(A, 2) least and greatest coordinate of (N, 2) points along directions, without the outermost points."""
    values = plan @ np.stack([np.cos(angles), np.sin(angles)])
    return np.percentile(values, (_LEFT_OUT, 100 - _LEFT_OUT), axis=0).T


def _of_object(box: np.ndarray, own: np.ndarray, around: np.ndarray) -> np.ndarray:
    """(M, 2) x and y of the points in a box that belong to its object, not to the surface below or a neighbour."""
    bottom, height = box[2] - box[5] / 2, box[5]
    low, high = corners(box)
    near = (np.abs(around[:, 2] - bottom) <= _LEVEL_M) & (
        (around[:, :2] >= low[:2] - _RING_M) & (around[:, :2] <= high[:2] + _RING_M)
    ).all(1)
    ring = near & ~((around[:, :2] >= low[:2]) & (around[:, :2] <= high[:2])).all(1)
    surface = float(np.median(around[ring, 2])) if np.count_nonzero(ring) >= _FEWEST_OF_SURFACE else bottom
    top = box[2] + height / 2
    above = own[own[:, 2] > surface + min(_SURFACE_M, _FLAT * max(top - surface, 0.0)), :2]
    return above if len(above) < FEWEST_POINTS else above[_main_part(above)]


def _main_part(plan: np.ndarray) -> np.ndarray:
    """(N,) bool: the points that are connected in plan with each other and are more than any other such part."""
    cells, which, counts = np.unique(
        np.floor(plan / _CELL_M).astype(np.int64), axis=0, return_inverse=True, return_counts=True
    )
    which = which.reshape(-1)
    number = {tuple(cell): k for k, cell in enumerate(cells.tolist())}
    part = np.full(len(cells), -1)
    for start in range(len(cells)):
        if part[start] >= 0:
            continue
        part[start], waiting = start, [start]
        while waiting:
            x, y = cells[waiting.pop()]
            for cell in ((x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)):
                k = number.get(cell)
                if k is not None and part[k] < 0:
                    part[k] = start
                    waiting.append(k)
    sizes = np.bincount(part, counts)
    return part[which] == sizes.argmax()
