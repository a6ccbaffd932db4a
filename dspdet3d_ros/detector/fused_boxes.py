"""Fused post-processing: each reported box is the median of the candidates that agree on it.

A small object has about twenty cells that find it. The cell with the best score has rarely the best box, and cells that
agree with each other are more often right than single ones. So of each group of overlapping candidates the best one is
chosen as in published suppression, its faces become weighted medians of those of its voters, its name is voted too, and
its score falls where other boxes overlap it, candidates disagree or few have a vote.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.detector.candidate_groups import LEAST_VOTER, groups_of
from dspdet3d_ros.geometry import box_between

#: The most candidates that can be chosen, the best ones: it bounds memory.
_MOST_LEADERS = 5000
#: The exponent of the agreement in the score.
_AGREEMENT_POWER = 0.5
#: A box that n candidates vote for has its score multiplied by 1 - exp(-n / this): parts of objects have few voters.
_SUPPORT = 8.0
_TINY = 1e-30
#: A box is weakened by a better one that it overlaps by u: its score is multiplied by exp(-u² / this).
_SOFTNESS = 0.3


def fused(
    boxes: Tensor, scores: Tensor, score_threshold: float, nms_iou_threshold: float, views: int = 1
) -> tuple[Tensor, Tensor]:
    """The boxes that candidates agree on.

    Args:
        boxes: (N, 6) candidates, metres, on the CPU, best first: in the order of their largest scores.
        scores: (N, n_classes) their scores.
        score_threshold: only candidates with a better score can be chosen.
        nms_iou_threshold: of two candidates that overlap more, the one with the lower score is not chosen.
        views: number of views of the cloud that the candidates come from: as many cells find each object.

    Returns:
        (K, 6) boxes and (K, n_classes) scores, best first; some of the scores are below the threshold.
    """
    best = scores.amax(1).numpy()
    # They are sorted, so those above a threshold are the first ones. The others have neither a vote nor a box.
    count, leaders = (int((best > least).sum()) for least in (min(score_threshold, LEAST_VOTER), score_threshold))
    if not leaders:
        return boxes[:0], scores[:0]
    leaders = min(leaders, _MOST_LEADERS)
    groups = groups_of(boxes[:count].numpy(), scores[:count].numpy(), best[:count], leaders, nms_iou_threshold)
    strength = best[groups.rows] * np.exp(-groups.rivalry / _SOFTNESS) * groups.agreement**_AGREEMENT_POWER
    strength *= -np.expm1(-np.maximum(groups.voters, views) / (_SUPPORT * views))
    names = groups.names * (strength / np.maximum(groups.names.max(axis=1), _TINY))[:, None]
    order = np.argsort(-names.max(axis=1), kind="stable")
    low, high = np.split(groups.corners[order], 2, axis=1)
    return torch.from_numpy(box_between(low, high)), torch.from_numpy(names[order].astype(np.float32))
