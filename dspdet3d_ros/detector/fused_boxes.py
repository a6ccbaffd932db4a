"""Fused post-processing: each reported box is the median of the candidates that agree on it.

A small object has about twenty cells that find it. The cell with the best score has rarely the best box, and cells that
agree with each other are more often right than single ones. So of each group of overlapping candidates the best one is
chosen as in published suppression, its faces become weighted medians of those of its voters, its name is voted too, and
its score falls where other boxes overlap it or candidates disagree.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.detector.boxes import Faces, Overlaps, clashes, overlapping, suppress
from dspdet3d_ros.geometry import box_between

#: Candidates with a lower score have no vote.
_LEAST_VOTER = 0.05
#: The most candidates that can be chosen, the best ones, and the number that are voted on at once: they bound memory.
_MOST_LEADERS = 5000
_AT_ONCE = 256
#: The most voters of a box, those with the best scores.
_MOST_VOTERS = 64
#: Overlap with the chosen box above which a candidate votes for its faces and its name.
_VOTES = 0.4
#: Overlap above which a candidate counts for the agreement, and the exponent of the agreement in the score.
_AGREES = 0.1
_AGREEMENT_POWER = 0.5
_TINY = 1e-30
#: A box is weakened by a better one that it overlaps by u: its score is multiplied by exp(-u² / this).
_SOFTNESS = 0.1


def fused(boxes: Tensor, scores: Tensor, score_threshold: float, nms_iou_threshold: float) -> tuple[Tensor, Tensor]:
    """The boxes that candidates agree on.

    Args:
        boxes: (N, 6) candidates, metres, on the CPU, best first: in the order of their largest scores.
        scores: (N, n_classes) their scores.
        score_threshold: only candidates with a better score can be chosen.
        nms_iou_threshold: of two candidates that overlap more, the one with the lower score is not chosen.

    Returns:
        (K, 6) boxes and (K, n_classes) scores, best first; some of the scores are below the threshold.
    """
    best, candidates, values = scores.amax(1).numpy(), boxes.numpy(), scores.numpy()
    # They are sorted, so those above a threshold are the first ones.
    count, leaders = (int((best > least).sum()) for least in (min(score_threshold, _LEAST_VOTER), score_threshold))
    if not leaders:
        return boxes[:0], scores[:0]
    faces, values, best = Faces.of(candidates[:count]), values[:count], best[:count]
    clashing = clashes(faces.rows(slice(min(leaders, _MOST_LEADERS))), nms_iou_threshold)
    chosen = np.array(suppress(clashing, range(len(clashing))))
    # In parts: they bound memory.
    parts = [_voted(faces, values, best, rows) for rows in np.array_split(chosen, -(-len(chosen) // _AT_ONCE))]
    corners, names, agreement = (np.concatenate(part) for part in zip(*parts, strict=True))
    strength = best[chosen] * np.exp(-_rivalry(faces.rows(chosen)) / _SOFTNESS) * agreement**_AGREEMENT_POWER
    names = names * (strength / np.maximum(names.max(axis=1), _TINY))[:, None]
    low, high = corners[:, :3], corners[:, 3:]
    order = np.argsort(-names.max(axis=1), kind="stable")
    return torch.from_numpy(box_between(low, high)[order]), torch.from_numpy(names[order].astype(np.float32))


def _rivalry(boxes: Faces) -> np.ndarray:
    """(K,) sums of the squared overlaps of each of K boxes, best first, with better ones."""
    rivalry = np.zeros(len(boxes.volume))
    for pairs in overlapping(boxes, boxes, 0.0):
        better = pairs.b < pairs.a
        rivalry += np.bincount(pairs.a[better], pairs.iou[better] ** 2, len(rivalry))
    return rivalry


def _voted(boxes: Faces, scores: np.ndarray, best: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, ...]:
    """The votes of all candidates for K chosen ones.

    Args:
        boxes: N candidates.
        scores: (N, n_classes).
        best: (N,) the largest of them.
        chosen: (K,) rows.

    Returns:
        (K, 6) lowest and highest corners, (K, n_classes) weighted sums of scores, and (K,) agreement.
    """
    count = len(chosen)
    parts = list(overlapping(boxes.rows(chosen), boxes, _AGREES)) or [Overlaps.none()]
    rows, voters, iou = (np.concatenate(part) for part in zip(*parts, strict=True))
    if len(parts) > 1:
        order = np.argsort(rows, kind="stable")
        rows, voters, iou = rows[order], voters[order], iou[order]
    weights = best[voters]
    # A box whose extent is less than the resolution of its position does not overlap even itself: it is worth nothing.
    agreement = np.bincount(rows, weights * iou, count) / np.maximum(np.bincount(rows, weights, count), _TINY)
    votes = np.flatnonzero(iou > _VOTES)
    rows, voters, weights = rows[votes], voters[votes], weights[votes] ** 2
    counts = np.bincount(rows, minlength=count)
    first = np.cumsum(counts) - counts
    heard = counts > 0
    names = np.zeros((count, scores.shape[1]), np.float32)
    names[heard] = np.add.reduceat(weights[:, None] * scores[voters], first[heard])
    # The voters of one box come best first, as all candidates do.
    number = np.arange(len(rows)) - first[rows]
    if counts.max() > _MOST_VOTERS:
        some = number < _MOST_VOTERS
        rows, voters, weights, number = rows[some], voters[some], weights[some], number[some]
    shape = count, min(max(int(counts.max()), 1), _MOST_VOTERS)
    table, weight = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    table[rows, number], weight[rows, number] = voters, weights
    faces = np.concatenate([boxes.low, boxes.high])[:, table]
    return _weighted_medians(faces, weight).T, names, agreement


def _weighted_medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(C, K) weighted median of each group and row.

    Args:
        values: (C, K, N) of K groups of N.
        weights: (K, N) at least 0, in each group some above 0.
    """
    order = np.argsort(values, axis=-1)
    groups = np.arange(len(weights))[:, None]
    sums = np.cumsum(weights[groups, order], axis=-1)
    # The first value at which half of the weight is reached.
    first = (sums < sums[..., -1:] / 2).sum(axis=-1, keepdims=True)
    return np.take_along_axis(values, np.take_along_axis(order, first, -1), -1)[..., 0]
