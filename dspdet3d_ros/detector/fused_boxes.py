"""Fused post-processing: each reported box is the median of the candidates that agree on it.

A small object has about twenty cells that find it. The cell with the best score has rarely the best box, and cells that
agree with each other are more often right than single ones. So of each group of overlapping candidates the best one is
chosen as in published suppression, its faces become weighted medians of those of its voters, its name is voted too, and
its score falls where other boxes overlap it, candidates disagree or few have a vote.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.detector.boxes import Faces, Overlaps, clashes, overlapping, suppress
from dspdet3d_ros.geometry import box_between

#: Candidates with a lower score have no vote for other boxes.
_LEAST_VOTER = 0.05
#: The most candidates that can be chosen, the best ones, and the number whose faces are voted on at once: they bound
#: memory.
_MOST_LEADERS = 5000
_AT_ONCE = 64
#: Candidates among which suppression chooses at once.
_ROUND = 128
#: The most voters of a box, those with the best scores.
_MOST_VOTERS = 64
#: Overlap with the chosen box above which a candidate votes for its faces and its name.
_VOTES = 0.4
#: Overlap above which a candidate counts for the agreement, and the exponent of the agreement in the score.
_AGREES = 0.1
_AGREEMENT_POWER = 0.5
#: A box that n candidates vote for has its score multiplied by 1 - exp(-n / this): parts of objects have few voters.
_SUPPORT = 8.0
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
    chosen, near = _chosen(faces, min(leaders, _MOST_LEADERS), nms_iou_threshold)
    if score_threshold < _LEAST_VOTER:
        # Weak candidates vote for themselves alone: the score of a box does not depend on the score threshold.
        votes = (best[near.b] > _LEAST_VOTER) | (near.b == chosen[near.a])
        near = Overlaps(near.a[votes], near.b[votes], near.iou[votes])
    agreement = _agreement(near, best, len(chosen))
    votes = Votes.of(near, best, len(chosen))
    strength = best[chosen] * np.exp(-_rivalry(faces.rows(chosen)) / _SOFTNESS) * agreement**_AGREEMENT_POWER
    strength *= -np.expm1(-np.maximum(votes.counts, 1) / _SUPPORT)
    names = votes.names(values)
    names = names * (strength / np.maximum(names.max(axis=1), _TINY))[:, None]
    corners = votes.medians(faces)
    order = np.argsort(-names.max(axis=1), kind="stable")
    found = box_between(corners[:, :3], corners[:, 3:])[order]
    return torch.from_numpy(found), torch.from_numpy(names[order].astype(np.float32))


def _chosen(boxes: Faces, leaders: int, threshold: float) -> tuple[np.ndarray, Overlaps]:
    """Greedy suppression among the first boxes, and the overlaps of those that stay.

    In rounds: most boxes are suppressed by one of an earlier round, and are never compared with each other.

    Args:
        boxes: N candidates, best first.
        leaders: the number of candidates that can be chosen.
        threshold: of two candidates that overlap more, the second one is not chosen.

    Returns:
        (K,) rows of the chosen ones, ascending; and the pairs (number of a chosen one, row of a candidate) that overlap
        by more than the threshold or `_AGREES`, ascending.
    """
    chosen, found, gone, left = [], [], np.zeros(len(boxes.volume), bool), np.arange(leaders)
    while len(left):
        some, left = left[:_ROUND], left[_ROUND:]
        new = some[suppress(clashes(boxes.rows(some), threshold), range(len(some)))]
        for pairs in overlapping(boxes.rows(new), boxes, min(threshold, _AGREES)):
            gone[pairs.b[pairs.iou > threshold]] = True
            found.append(Overlaps(new[pairs.a], pairs.b, pairs.iou))
        chosen.append(new)
        left = left[~gone[left]]
    rows = np.concatenate(chosen)
    near = Overlaps(*(np.concatenate(part) for part in zip(*found or [Overlaps.none()], strict=True)))
    order = np.argsort(near.a, kind="stable")
    return rows, Overlaps(np.searchsorted(rows, near.a[order]), near.b[order], near.iou[order])


def _rivalry(boxes: Faces) -> np.ndarray:
    """(K,) sums of the squared overlaps of each of K boxes, best first, with better ones."""
    rivalry = np.zeros(len(boxes.volume))
    for pairs in overlapping(boxes, boxes, 0.0):
        better = pairs.b < pairs.a
        rivalry += np.bincount(pairs.a[better], pairs.iou[better] ** 2, len(rivalry))
    return rivalry


def _agreement(near: Overlaps, best: np.ndarray, count: int) -> np.ndarray:
    """(K,) mean overlap of each of K chosen boxes with the candidates around it, weighted by their (N,) best scores."""
    agrees = near.iou > _AGREES
    rows, iou, weights = near.a[agrees], near.iou[agrees], best[near.b[agrees]]
    # A box whose extent is less than the resolution of its position does not overlap even itself: it is worth nothing.
    return np.bincount(rows, weights * iou, count) / np.maximum(np.bincount(rows, weights, count), _TINY)


class Votes(NamedTuple):
    """The votes of candidates for K chosen ones, those for one box contiguous, the best voter first.

    Attributes:
        rows: (V,) the chosen one.
        voters: (V,) row of the candidate.
        weights: (V,) its weight.
        counts: (K,) number of votes for each.
    """

    rows: np.ndarray
    voters: np.ndarray
    weights: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, near: Overlaps, best: np.ndarray, count: int) -> Votes:
        """The votes for `count` chosen ones, from their overlaps with candidates and the (N,) best scores of these."""
        votes = near.iou > _VOTES
        rows, voters = near.a[votes], near.b[votes]
        return cls(rows, voters, best[voters] ** 2, np.bincount(rows, minlength=count))

    def names(self, scores: np.ndarray) -> np.ndarray:
        """(K, n_classes) weighted sums of the (N, n_classes) scores."""
        heard = self.counts > 0
        names = np.zeros((len(self.counts), scores.shape[1]), np.float32)
        first = np.cumsum(self.counts) - self.counts
        names[heard] = np.add.reduceat(self.weights[:, None] * scores[self.voters], first[heard])
        return names

    def medians(self, boxes: Faces) -> np.ndarray:
        """(K, 6) lowest and highest corners, medians of those of the voters."""
        faces, first = np.concatenate([boxes.low, boxes.high]), np.cumsum(self.counts) - self.counts
        # Boxes with like numbers of voters together: the tables have few empty places.
        order, found = np.argsort(self.counts), np.empty((len(self.counts), 6), faces.dtype)
        # The last one stands in empty places.
        voters, weights = np.append(self.voters, 0), np.append(self.weights, np.float32(0))
        for start in range(0, len(order), _AT_ONCE):
            some = order[start : start + _AT_ONCE]
            counts = np.minimum(self.counts[some], _MOST_VOTERS)
            column = np.arange(max(int(counts[-1]), 1))
            votes = np.where(column < counts[:, None], first[some, None] + column, -1)
            found[some] = _weighted_medians(faces[:, voters[votes]], weights[votes]).T
        return found


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
