"""Groups of candidates that agree on an object: the best one of each, and what those around it say.

The C library groups them where it was built; `groups_by_numpy` says the same in NumPy.
"""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import numpy as np

from dspdet3d_ros.detector.boxes import Faces, Overlaps, clashes, overlapping, suppress
from dspdet3d_ros.native import library

#: Candidates with a lower score have no vote for other boxes.
LEAST_VOTER = 0.05
#: Candidates among which suppression chooses at once, and boxes whose faces are voted on at once: they bound memory.
_ROUND = 128
_AT_ONCE = 64
#: The most voters for the faces of a box, those with the best scores.
_MOST_VOTERS = 64
#: Overlap with the chosen box above which a candidate votes for its faces and its name.
_VOTES = 0.4
#: Overlap above which a candidate counts for the agreement.
_AGREES = 0.1
_TINY = 1e-30


class Groups(NamedTuple):
    """K chosen candidates, best first.

    Attributes:
        rows: (K,) int64 their rows, ascending.
        voters: (K,) number of candidates that vote for each.
        rivalry: (K,) sums of the squared overlaps with better chosen ones.
        agreement: (K,) mean overlap with the candidates around it, weighted by their best scores.
        names: (K, n_classes) float32 sums of the scores of its voters, weighted by their squared best scores.
        corners: (K, 6) float32 lowest and highest corners, weighted medians of those of its voters.
    """

    rows: np.ndarray
    voters: np.ndarray
    rivalry: np.ndarray
    agreement: np.ndarray
    names: np.ndarray
    corners: np.ndarray


def groups_of(
    boxes: np.ndarray, scores: np.ndarray, best: np.ndarray, leaders: int, nms_iou_threshold: float
) -> Groups:
    """The groups among candidates.

    Args:
        boxes: (N, 6) float32 centre and size, best first.
        scores: (N, n_classes) float32.
        best: (N,) float32 the largest of each one's scores.
        leaders: number of candidates that can be chosen, the first ones.
        nms_iou_threshold: of two candidates that overlap more, the one with the lower score is not chosen.
    """
    if not library.has_library():
        return groups_by_numpy(boxes, scores, best, leaders, nms_iou_threshold)
    boxes, scores, best = (np.ascontiguousarray(values, np.float32) for values in (boxes, scores, best))
    count, classes = scores.shape
    found = Groups(
        np.empty(leaders, np.int64),
        np.empty(leaders, np.int64),
        np.empty(leaders),
        np.empty(leaders),
        np.empty((leaders, classes), np.float32),
        np.empty((leaders, 6), np.float32),
    )
    candidates = library.Candidates(
        library.address(boxes, np.float32, count, 6),
        library.address(scores, np.float32, count, classes),
        library.address(best, np.float32, count),
        count,
        leaders,
        classes,
    )
    rules = library.GroupRules(nms_iou_threshold, _VOTES, _AGREES, LEAST_VOTER, _TINY, _MOST_VOTERS)
    into = library.Groups(*(values.ctypes.data for values in found))
    call = library.load().native_group_candidates
    chosen = library.check(call(ctypes.byref(candidates), ctypes.byref(rules), ctypes.byref(into)))
    return Groups(*(values[:chosen] for values in found))


def groups_by_numpy(
    boxes: np.ndarray, scores: np.ndarray, best: np.ndarray, leaders: int, nms_iou_threshold: float
) -> Groups:
    """See `groups_of`."""
    faces = Faces.of(boxes)
    chosen, near = _chosen(faces, leaders, nms_iou_threshold)
    rivalry = _rivalry(faces.rows(chosen))
    # Weak candidates vote for themselves alone.
    heard = (best[near.b] > np.float32(LEAST_VOTER)) | (near.b == chosen[near.a])
    near = Overlaps(near.a[heard], near.b[heard], near.iou[heard])
    votes = Votes.of(near, best, len(chosen))
    agreement = _agreement(near, best, len(chosen))
    return Groups(chosen, votes.counts, rivalry, agreement, votes.names(scores), votes.medians(faces))


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
