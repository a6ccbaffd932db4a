"""Whether a cloud shows the place of an object, and whether the object still stands there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.geometry import box_between, corners, points_in_boxes

#: The surroundings of an object reach so far beyond its box, to the sides and below.
MARGIN_M = 0.10
#: The lowest part of a box, as a share of its height, may hold points of the support.
SUPPORT_SHARE = 0.2
#: Fewer points of the surroundings than this share of the earlier ones: the place is not in the cloud.
LEAST_SURROUNDINGS = 0.3
#: Fewer points of the object than this share of the earlier ones: the object is gone.
LEAST_CONTENT = 0.25


@dataclass(frozen=True)
class PlacePoints:
    """Points in and around boxes.

    Attributes:
        inside: (K,) points in the upper part of each box.
        around: (K,) points around each box, at its sides and below it.
    """

    inside: np.ndarray
    around: np.ndarray

    @classmethod
    def count(cls, xyz: np.ndarray, boxes: np.ndarray) -> PlacePoints:
        """Counts the points of a cloud.

        Args:
            xyz: (N, 3), metres, z up.
            boxes: (K, 6) centre and size, metres, in the frame of `xyz`.
        """
        low, high = corners(boxes)
        margin = np.array([MARGIN_M, MARGIN_M, MARGIN_M])
        raised = low + [0.0, 0.0, 1.0] * (SUPPORT_SHARE * boxes[:, 5:6])
        counts = points_in_boxes(
            xyz,
            np.concatenate(
                [
                    box_between(raised, high),
                    box_between(low, high),
                    box_between(low - margin, high + margin * [1, 1, 0]),
                ]
            ),
        )
        inside, whole, large = counts.reshape(3, len(boxes))
        return cls(inside, large - whole)


def is_seen(now: PlacePoints, before: PlacePoints) -> np.ndarray:
    """(K,) bool: the cloud shows the place."""
    return (now.around > 0) & (now.around >= LEAST_SURROUNDINGS * before.around)


def is_filled(now: PlacePoints, before: PlacePoints) -> np.ndarray:
    """(K,) bool: the place has points where the object was, as many as its surroundings lead to expect.

    A cloud that is thinner than the earlier ones has fewer points of the object and of its surroundings.
    """
    density = np.minimum(now.around / np.maximum(before.around, 1), 1.0)
    return now.inside > LEAST_CONTENT * density * before.inside
