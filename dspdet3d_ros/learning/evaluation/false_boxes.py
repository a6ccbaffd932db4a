"""Sources of false boxes, and found objects by their visible height."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from dspdet3d_ros.geometry import corners
from dspdet3d_ros.learning.evaluation.metric import SceneResult, matches

#: The sources of a false box, in the order in which they are checked.
SOURCES = ("duplicate", "several objects", "part of an object", "loose", "background")
#: Limits of the classes of visible height, metres.
HEIGHTS_M = (0.01, 0.02, 0.03, 0.05, 0.1)
_IOU = 0.25
#: The share of a volume that counts as most of it.
_MOST = 0.5
#: Below this IoU a box has nothing to do with an object.
_LEAST_IOU = 0.05


def false_box_sources(results: Sequence[SceneResult], score_threshold: float) -> dict[str, int]:
    """The number of false boxes above the score threshold, at an IoU of 0.25, by source.

    A box is a `duplicate` if an earlier box matches its object. It holds `several objects` if most of the volume of at
    least two is inside it. It is `part of an object` if most of it is inside one. It is `loose` if it overlaps an
    object in another way, such as a box that is much too large. Everything else is `background`.
    """
    counts = dict.fromkeys(SOURCES, 0)
    for result in results:
        false = (matches(result, _IOU) < 0) & (result.scores > score_threshold)
        for source in _sources(result.boxes[false], result.truth):
            counts[source] += 1
    return counts


def _sources(boxes: np.ndarray, truth: np.ndarray) -> list[str]:
    if not len(truth):
        return ["background"] * len(boxes)
    (low, high), (true_low, true_high) = corners(boxes[:, None]), corners(truth[None])
    shared = np.clip(np.minimum(high, true_high) - np.maximum(low, true_low), 0, None).prod(2)
    volume, true_volume = boxes[:, None, 3:].prod(2), truth[None, :, 3:].prod(2)
    iou = shared / np.maximum(volume + true_volume - shared, 1e-12)
    tests = [
        (iou > _IOU).any(1),
        (shared > _MOST * true_volume).sum(1) > 1,
        (shared > _MOST * volume).any(1),
        (iou > _LEAST_IOU).any(1) | (shared > _MOST * true_volume).any(1),
        np.ones(len(boxes), bool),
    ]
    return [SOURCES[k] for k in np.argmax(np.stack(tests), axis=0)]


def by_height(results: Sequence[SceneResult], score_threshold: float) -> dict[str, dict[str, Any]]:
    """For each class of visible height: objects, recall at IoU 0.25 and 0.5 at any score, found at the threshold."""
    heights = np.concatenate([np.empty(0), *(result.truth[:, 5] for result in results)])
    found = {iou: _matched(results, iou, -np.inf) for iou in (0.25, 0.5)}
    reported = _matched(results, _IOU, score_threshold)
    rows = np.digitize(heights, HEIGHTS_M)
    values = {}
    for row, name in enumerate(_names()):
        some = rows == row
        if some.any():
            values[name] = {
                "objects": int(some.sum()),
                "recall25": float(found[0.25][some].mean()),
                "recall50": float(found[0.5][some].mean()),
                "found_at_threshold": int(reported[some].sum()),
            }
    return values


def _matched(results: Sequence[SceneResult], iou: float, score_threshold: float) -> np.ndarray:
    """(K,) mask over the objects of all scenes: those that a box above the threshold matches."""
    masks = [np.empty(0, bool)]
    for result in results:
        match = matches(result, iou)
        mask = np.zeros(len(result.truth), bool)
        mask[match[(match >= 0) & (result.scores > score_threshold)]] = True
        masks.append(mask)
    return np.concatenate(masks)


def _names() -> list[str]:
    limits = [f"{100 * limit:g}" for limit in HEIGHTS_M]
    inner = [f"{low} to {high} cm" for low, high in pairwise(limits)]
    return [f"below {limits[0]} cm", *inner, f"above {limits[-1]} cm"]
