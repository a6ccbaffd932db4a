"""The part of a cloud that a picture shows."""

import numpy as np

from dspdet3d_ros.tools.viewer.picture.views import Region, box_corners

# A cloud taller than this is a room. Its upper part would hide the inside.
ROOM_HEIGHT_M = 1.8


def cut_height(z: np.ndarray, boxes: np.ndarray) -> float:
    """The height above which a cloud is hidden, so that the inside of a room is visible; infinite to hide nothing.

    Args:
        z: (N,) heights of the points, metres.
        boxes: (K, 6) centre and size of boxes that stay visible.
    """
    if len(z) == 0:
        return float("inf")
    floor, top = np.percentile(z, (1, 99.5))
    if top - floor <= ROOM_HEIGHT_M:
        return float("inf")
    highest_box = (boxes[:, 2] + boxes[:, 5] / 2).max() if len(boxes) else floor
    return float(max(floor + 0.65 * (top - floor), min(highest_box + 0.05, top - 0.3)))


def extent(xyz: np.ndarray, boxes: np.ndarray) -> Region:
    """The region that contains all boxes and nearly all points, without outliers."""
    parts = [box_corners(box) for box in boxes]
    if len(xyz):
        parts.append(np.percentile(xyz, (0.3, 99.7), axis=0))
    if not parts:
        return Region(np.full(3, -0.5), np.full(3, 0.5))
    corners = np.concatenate(parts)
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = 0.02 * (high - low).max() + 0.01
    return Region(low - margin, high + margin)


def near_region(boxes: np.ndarray, room: Region) -> Region:
    """The region around the boxes, with a margin, within the room."""
    if len(boxes) == 0:
        return room
    corners = np.concatenate([box_corners(box) for box in boxes])
    low, high = corners.min(axis=0), corners.max(axis=0)
    margin = np.full(3, 0.15 * (high - low).max() + 0.1)
    return Region(np.maximum(low - margin, room.low), np.minimum(high + margin, room.high))
