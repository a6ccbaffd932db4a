"""Boxes of labelled objects: fitted to their points, cut with them, and moved with a scene.

There are two kinds of labels. *Fitted* boxes come from the points, as labels of real scenes do: after a change of the
points they are fitted again. *Exact* boxes span the visible surface itself, as those of generated scenes do. They are
not fitted again but moved, because points have noise: a box that is fitted to a flat object is several times as high.
"""

from __future__ import annotations

import numpy as np

from dspdet3d_ros.geometry import box_around, box_between, corners
from dspdet3d_ros.learning.datasets.extents import extents_along

#: Fewest points of a labelled object.
LEAST_POINTS = 12
#: Smallest edge of a fitted box, metres: the points of a flat object seen from above have no height.
LEAST_SIZE_M = 0.005
#: Smallest edge of an exact box after a change, metres: seen from straight above, a flat object has no height.
_LEAST_EXACT_M = 0.003


def fit_boxes(xyz: np.ndarray, inst: np.ndarray, count: int) -> np.ndarray:
    """Boxes from the first to the 99th percentile of each object's points along each axis.

    Args:
        xyz: (N, 3).
        inst: (N,) k + 1 for object k, 0 elsewhere.
        count: number of objects.

    Returns:
        (count, 6) float32 centre and size; zeros for an object without points.
    """
    boxes = np.zeros((count, 6), np.float32)
    rows = np.flatnonzero(inst)
    rows = rows[np.argsort(inst[rows], kind="stable")]
    numbers = points_of_objects(inst, count)
    for k, part in enumerate(np.split(xyz[rows], np.cumsum(numbers)[:-1])):
        if len(part):
            boxes[k] = box_around(part, left_out=1)
            boxes[k, 3:] = np.maximum(boxes[k, 3:], LEAST_SIZE_M)
    return boxes


def points_of_objects(inst: np.ndarray, count: int) -> np.ndarray:
    """(count,) number of points of each object; see `fit_boxes`."""
    return np.bincount(inst, minlength=count + 1)[1:]


def labelled_objects(inst: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The objects that enough is seen of to be labelled: those of at least `LEAST_POINTS` points.

    Args:
        inst, count: as for `fit_boxes`.

    Returns:
        (count,) bool, which objects these are, and (N,) int32 the points' numbers among them.
    """
    seen = points_of_objects(inst, count) >= LEAST_POINTS
    number = np.concatenate([[0], np.where(seen, np.cumsum(seen), 0)]).astype(np.int32)
    return seen, number[inst]


def cut_boxes(boxes: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """(K, 6) exact boxes of objects that lost points: the part of the exact box that the box of the rest spans.

    Where nothing was lost, the points reach beyond the exact box because of their noise, and its face stays.

    Args:
        boxes: (K, 6) exact boxes of the whole objects.
        fitted: (K, 6) boxes fitted to the points that are left.
    """
    (low, high), (fitted_low, fitted_high) = corners(boxes), corners(fitted)
    return _between(np.maximum(low, fitted_low), np.minimum(high, fitted_high))


def mapped_boxes(
    boxes: np.ndarray, matrix: np.ndarray, extents: np.ndarray | None, points: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> np.ndarray:
    """(K, 6) exact boxes after a linear map of the scene, axis-aligned again.

    In plan the sides follow from the extents where they are known. Elsewhere each side keeps its margin: it reaches as
    far beyond the box that is fitted to the points as the sides did that it came from.

    Args:
        boxes: (K, 6) exact boxes before the map.
        matrix: (3, 3): any turn, mirroring and scaling in plan; a positive scaling of z.
        extents: (K, D, 2), rows of NaN if they are not known; None if none are. See `extents_along`.
        points: (N, 3) before and (N, 3) after the map, and (N,) k + 1 for object k, 0 elsewhere.
    """
    low, high = (corner * matrix[2, 2] for corner in corners(boxes.astype(np.float64)))
    known = np.zeros(len(boxes), bool) if extents is None else np.isfinite(extents).all((1, 2))
    if extents is not None and known.any():
        for axis in range(2):
            low[known, axis], high[known, axis] = extents_along(extents[known], matrix[axis, :2]).T
    if not known.all():
        before, after, inst = points
        inst = np.where(np.concatenate([[False], ~known])[inst], inst, 0)
        fitted, fitted_after = (fit_boxes(xyz, inst, len(boxes)) for xyz in (before, after))
        sides = _sides_with_margins(boxes, fitted, fitted_after, matrix)
        low[~known, :2], high[~known, :2] = (side[~known] for side in sides)
    return _between(low, high)


def mapped_regions(regions: np.ndarray | None, matrix: np.ndarray) -> np.ndarray | None:
    """(R, 6) float32 boxes around the mapped regions, which may be larger than these; None for None.

    Args:
        regions: (R, 6) centre and size.
        matrix: (3, 3) any linear map.
    """
    if regions is None:
        return None
    reach = regions[:, 3:] @ np.abs(matrix).T
    return np.concatenate([regions[:, :3] @ matrix.T, reach], 1).astype(np.float32)


def _sides_with_margins(
    boxes: np.ndarray, before: np.ndarray, after: np.ndarray, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(K, 2) lowest and highest x and y after a map, from the exact boxes before it and the fitted ones around it."""
    (low, high), (fitted_low, fitted_high) = corners(boxes), corners(before)
    # How far the exact box reaches beyond the fitted one: (2, K, 2), first along -x and -y, then along +x and +y.
    margins = np.stack([fitted_low - low, high - fitted_high])[..., :2]
    low_after, high_after = (corner[:, :2].astype(np.float64) for corner in corners(after))
    for axis, row in enumerate(matrix[:2, :2]):
        length = np.hypot(*row)
        # A side takes the margins of the sides that it came from, each by how much it faces that way.
        share = ((row / length) ** 2 * length)[:, None]
        faces = (row > 0).astype(int)
        high_after[:, axis] += (margins[faces, :, [0, 1]] * share).sum(0)
        low_after[:, axis] -= (margins[1 - faces, :, [0, 1]] * share).sum(0)
    return low_after, high_after


def _between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(K, 6) float32 boxes between corners, none thinner than `_LEAST_EXACT_M`."""
    boxes = box_between(low, high)
    boxes[:, 3:] = np.maximum(boxes[:, 3:], _LEAST_EXACT_M)
    return boxes.astype(np.float32)
