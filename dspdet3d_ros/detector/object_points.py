"""The points of a cloud that belong to the objects found in it."""

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.geometry import box_of_points


@dataclass(frozen=True)
class ObjectPoints:
    """Points inside boxes, in the order of the cloud.

    Attributes:
        xyz: (M, 3), metres, in the frame of the boxes.
        rgb: (M, 3) uint8, or None if the cloud has no colours.
        label: (M,) uint32 class number of each point's box.
        instance: (M,) uint32 index of each point's box.
    """

    xyz: np.ndarray
    rgb: np.ndarray | None
    label: np.ndarray
    instance: np.ndarray


def points_of_objects(xyz: np.ndarray, rgb: np.ndarray | None, boxes: np.ndarray, labels: np.ndarray) -> ObjectPoints:
    """The points in any box; one in several belongs to the smallest (`box_of_points`).

    Args:
        xyz: (N, 3) finite, metres, in the frame of the boxes.
        rgb: (N, 3) uint8 or None.
        boxes: (K, 6) centre and size, metres.
        labels: (K,) class numbers.
    """
    owner = box_of_points(xyz, boxes)
    some = np.flatnonzero(owner >= 0)
    instance = owner[some]
    colours = None if rgb is None else rgb[some]
    return ObjectPoints(xyz[some], colours, labels[instance].astype(np.uint32), instance.astype(np.uint32))
