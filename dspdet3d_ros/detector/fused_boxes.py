"""Fused post-processing: each reported box is the median of the candidates that agree on it.

A small object has about twenty cells that find it. The cell with the best score has rarely the best box, and cells that
agree with each other are more often right than single ones. So of each group of overlapping candidates the best one is
chosen as in published suppression, its faces become weighted medians of those of its voters, its name is voted too, and
its score falls where other boxes overlap it or candidates disagree.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dspdet3d_ros.detector.boxes import clashes, corners, iou_matrix, suppress

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
    best = scores.amax(1) if len(scores) else scores.new_empty(0)
    count = int((best > min(score_threshold, _LEAST_VOTER)).sum())
    boxes, scores, best = boxes[:count], scores[:count], best[:count]
    leaders = boxes[: int((best > score_threshold).sum())][:_MOST_LEADERS]
    if not len(leaders):
        return boxes[:0], scores[:0]
    chosen = torch.tensor(suppress(clashes(leaders, nms_iou_threshold), range(len(leaders))))
    # Candidates come best first, so earlier columns are better boxes.
    rivals = torch.tril(iou_matrix(boxes[chosen], boxes[chosen]).square(), diagonal=-1)
    leading = best[chosen] * torch.exp(-rivals.sum(1) / _SOFTNESS)
    # In parts: each overlaps with all candidates.
    parts = [_voted(boxes, scores, best, rows) for rows in chosen.split(_AT_ONCE)]
    faces, names, agreement = (torch.cat(part) for part in zip(*parts, strict=True))
    names = names / names.amax(1, keepdim=True) * (leading * agreement**_AGREEMENT_POWER)[:, None]
    low, high = faces[:, :3], faces[:, 3:]
    order = torch.argsort(names.amax(1), descending=True, stable=True)
    return torch.cat([(low + high) / 2, high - low], 1)[order], names[order]


def _voted(boxes: Tensor, scores: Tensor, best: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(K, 6) corners, (K, n_classes) sums of scores and (K,) agreement that all candidates vote for the chosen ones."""
    overlap = iou_matrix(boxes[chosen], boxes)
    heard = torch.where(overlap > _AGREES, best, 0.0)
    agreement = (heard * overlap).sum(1) / heard.sum(1)
    votes = torch.where(overlap > _VOTES, best.square(), 0.0)
    most = int((votes > 0).sum(1).max())
    weights, voters = torch.topk(votes, min(_MOST_VOTERS, most))
    faces = _weighted_medians(torch.cat(corners(boxes), 1)[voters], weights)
    return faces, votes @ scores, agreement


def _weighted_medians(values: Tensor, weights: Tensor) -> Tensor:
    """(K, C) weighted median of each group and column.

    Args:
        values: (K, N, C) of K groups of N.
        weights: (K, N) at least 0, in each group some above 0.
    """
    ordered, order = torch.sort(values.transpose(1, 2).contiguous())
    sums = weights[:, None].expand_as(order).gather(2, order).cumsum(2)
    # The first value at which half of the weight is reached.
    first = (sums < sums[..., -1:] / 2).sum(2, keepdim=True)
    return ordered.gather(2, first)[..., 0]
