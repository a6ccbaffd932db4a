"""From the predictions of all levels to the boxes that are reported (DSPDet3D, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.detector.boxes import Faces, clashes, suppress
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.fused_boxes import fused
from dspdet3d_ros.detector.head import LevelOutput, decode_boxes
from dspdet3d_ros.detector.result import DetectionSettings, Shortlist
from dspdet3d_ros.detector.score_map import ScoreMap
from dspdet3d_ros.sparse.coords import synchronises

#: Boxes with an edge beyond e^±29 m (4e12 m) have overflowed: the volume of larger ones may be infinite in float32.
_LARGEST_LOG_SIZE = 29.0
#: Fusion takes all cells with a larger class logit than this, a little less than those that vote, and the best ones of
#: the others that can be boxes, until there are so many; but no more than the second number.
_LEAST_LOGIT = -3.0
_FEWEST, _MOST = 1000, 50_000


def network_threshold(settings: DetectionSettings, config: ModelConfig) -> float:
    """The score threshold in scores of the network, before the score map."""
    return _score_map(config).inverse(settings.score_threshold)


def best_cells(
    outputs: Sequence[LevelOutput], config: ModelConfig, score_threshold: float = 0.0
) -> tuple[Tensor, Tensor, int]:
    """The `nms_pre` cells with the largest class logit over all levels together, largest first.

    Logits order cells as scores do, and where scores round to the same number too.

    Args:
        outputs: the predictions of the levels.
        config: has `nms_pre`, and says whether candidates vote.
        score_threshold: of the network's scores. With fused post-processing cells below it are left out unless they
            vote; the best one stays.

    Returns:
        (N, 6) finite boxes in metres, larger than nothing and of finite volume, (N, n_classes) scores, and the number
        of predictions over all levels that were left out because theirs are not.
    """
    levels: list[tuple[Tensor, ...]] = [(o.logits, o.regression, o.coords.keys) for o in outputs]
    if synchronises(levels[0][0]):
        # On a GPU the number of calls takes the time. On the CPU a copy of all logits takes longer than all the rest.
        levels = [tuple(torch.cat(field) for field in zip(*levels, strict=True))]
    top = torch.cat([_usable_top(logits, regression) for logits, regression, _ in levels])
    # One transfer: on a GPU each waits for all earlier work.
    limits = (-torch.inf, _LEAST_LOGIT, _logit(score_threshold))
    found, voters, leaders = torch.stack([(top > limit).sum() for limit in limits]).tolist()
    most = config.nms_pre
    if config.postprocessing == "fused":
        # All that have a vote, however large the map is: then a box does not depend on what else is in the map.
        most = min(max(voters, min(leaders, _FEWEST), 1), _MOST)
    logits, regression, keys = _taken(levels, _largest(top, min(most, found), voters))
    return decode_boxes(regression, keys, config.voxel_size), torch.sigmoid(logits), len(top) - found


def best_of_views(boxes: Sequence[Tensor], scores: Sequence[Tensor], config: ModelConfig) -> tuple[Tensor, Tensor]:
    """The candidates of all views together, best first; as many as `best_cells` gives for one view at the most.

    Args:
        boxes: (N, 6) of each view, in the frame of the cloud, metres.
        scores: (N, n_classes) of each view.
        config: has the limit.
    """
    if len(boxes) == 1:
        return boxes[0], scores[0]
    joined = torch.cat(tuple(scores))
    most = _MOST if config.postprocessing == "fused" else config.nms_pre
    rows = torch.sort(joined.amax(1), descending=True, stable=True).indices[:most]
    return torch.cat(tuple(boxes))[rows], joined[rows]


def _largest(top: Tensor, count: int, voters: int) -> Tensor:
    """The rows of the largest of (N,) values, largest first.

    Args:
        top: (N,).
        count: number of rows.
        voters: number of values above `_LEAST_LOGIT`.
    """
    if synchronises(top) or count > voters:
        # Those that are not usable come last.
        return torch.topk(top, count).indices
    # On the CPU it takes less time to sort those above the limit only.
    rows = (top > _LEAST_LOGIT).nonzero()[:, 0]
    return rows[torch.sort(top[rows], descending=True, stable=True).indices[:count]]


def _taken(levels: Sequence[tuple[Tensor, ...]], rows: Tensor) -> tuple[Tensor, ...]:
    """Rows, counted over all levels, of each of the tensors that every level has."""
    if len(levels) == 1:
        return tuple(field.index_select(0, rows) for field in levels[0])
    ends = np.cumsum([len(level[0]) for level in levels])
    wanted = rows.numpy()
    of_level = np.searchsorted(ends, wanted, side="right")
    order = np.argsort(of_level, kind="stable")
    in_order = np.split(wanted[order], np.bincount(of_level, minlength=len(levels)).cumsum()[:-1])
    own = [
        torch.from_numpy(some - (end - len(level[0]))) for level, some, end in zip(levels, in_order, ends, strict=True)
    ]
    back = torch.from_numpy(np.argsort(order))
    return tuple(
        torch.cat([part.index_select(0, some) for part, some in zip(field, own, strict=True)]).index_select(0, back)
        for field in zip(*levels, strict=True)
    )


def _usable_top(logits: Tensor, regression: Tensor) -> Tensor:
    """(N,) largest logits of the predictions that are finite, of boxes larger than nothing and of finite volume.

    Those of other predictions are -inf.

    Args:
        logits: (N, n_classes).
        regression: (N, 6).
    """
    top = logits.amax(1)
    if not synchronises(top) and _all_usable(logits, regression):
        return top
    # What is not finite shows in the largest or the smallest value of a row; comparisons with NaN are false.
    finite = (top < torch.inf) & (logits.amin(1) > -torch.inf)
    magnitude = regression.abs()
    fits = magnitude[:, 3:].amax(1) <= _LARGEST_LOG_SIZE
    return torch.where(finite & fits & (magnitude[:, :3].amax(1) < torch.inf), top, -torch.inf)


def _all_usable(logits: Tensor, regression: Tensor) -> bool:
    """Quick check, on the CPU: True if all predictions of a level are usable, False if some may not be."""
    if not len(logits):
        return True
    low, high = (float(limit) for limit in torch.aminmax(regression))
    return low >= -_LARGEST_LOG_SIZE and high <= _LARGEST_LOG_SIZE and math.isfinite(logits.sum())


@dataclass(frozen=True)
class Selection:
    """The boxes to report, on the CPU, best score first.

    Attributes:
        boxes: (K, 6) metres.
        scores: (K,).
        labels: (K,) class indices.
        class_scores: (K, n_classes) scores as each class, 0 below the threshold; None where each box stands for one
            class only.
        shortlist: what became of all of them.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    class_scores: Tensor | None
    shortlist: Shortlist


def shortlist(scores: Tensor, settings: DetectionSettings, config: ModelConfig) -> Shortlist:
    """The effect of score threshold and class filter on the scores.

    Args:
        scores: (N, n_classes), on the CPU.
        settings: the thresholds.
        config: has the names of the classes.
    """
    if not len(scores):
        return Shortlist()
    best = scores.amax(1)
    row = int(best.argmax())
    over = best > settings.score_threshold
    wanted = over
    if settings.class_filter:
        names = _reported(scores[over], settings, config) & (scores[over] > settings.score_threshold)
        wanted = names.any(1)
    return Shortlist(
        predictions=len(scores),
        best_score=float(best[row]),
        best_class=config.classes[int(scores[row].argmax())],
        over_threshold=int(over.sum()),
        of_wanted_classes=int(wanted.sum()),
    )


def select_boxes(boxes: Tensor, scores: Tensor, settings: DetectionSettings, config: ModelConfig) -> Selection:
    """From candidates to the boxes that are reported, by the model's kind of post-processing.

    Args:
        boxes: (N, 6) metres, best first, as `best_cells` gives them.
        scores: (N, n_classes) of the network.
        settings: the thresholds; that of the score is compared with reported scores.
        config: says how overlap is measured, whether classes suppress each other, and how scores are mapped.

    Returns:
        At most `max_detections` boxes.
    """
    # What follows is sequential and asks for numbers all the time: on the host, in one transfer.
    boxes, scores = torch.cat([boxes, scores], 1).cpu().split([6, scores.shape[1]], 1)
    score_map = _score_map(config)
    settings = replace(settings, score_threshold=network_threshold(settings, config))
    if config.postprocessing == "fused":
        candidates = scores
        boxes, scores = fused(boxes, candidates, settings.score_threshold, settings.nms_iou_threshold, settings.views)
        listed = shortlist(scores if len(scores) else candidates, settings, config)
        listed = replace(listed, predictions=len(candidates))
        boxes, chosen, labels, class_scores = _filtered(boxes, scores, settings, config)
    else:
        listed = shortlist(scores, settings, config)
        boxes, chosen, labels, class_scores = _best_boxes(boxes, scores, settings, config)
    listed = replace(listed, best_score=float(score_map(torch.tensor(listed.best_score))))
    if class_scores is not None:
        class_scores = torch.where(class_scores > settings.score_threshold, score_map(class_scores), 0.0)
    return Selection(boxes, score_map(chosen), labels, class_scores, listed)


def _score_map(config: ModelConfig) -> ScoreMap:
    """The map from scores of the network to reported ones."""
    return ScoreMap(*config.score_map) if config.score_map else ScoreMap()


def _logit(score: float) -> float:
    """The logit of a score in 0..1."""
    return math.log(score / (1 - score)) if 0 < score < 1 else math.copysign(math.inf, score - 0.5)


_Selected = tuple[Tensor, Tensor, Tensor, Tensor | None]


def _filtered(boxes: Tensor, scores: Tensor, settings: DetectionSettings, config: ModelConfig) -> _Selected:
    """Score threshold and class filter for fused boxes. The filter leaves out boxes and changes no other."""
    wanted = (scores > settings.score_threshold) & _reported(scores, settings, config) if len(scores) else scores > 0
    rows = wanted.any(1).nonzero()[: settings.max_detections, 0]
    boxes, scores = boxes[rows], scores[rows]
    chosen, labels = scores.max(1) if len(scores) else (scores.new_empty(0), rows)
    return boxes, chosen, labels, scores


def _best_boxes(boxes: Tensor, scores: Tensor, settings: DetectionSettings, config: ModelConfig) -> _Selected:
    """Score threshold, class filter and suppression of duplicates, in this order.

    The class filter never changes the name or the scores of a box: it leaves boxes out. Boxes that it leaves out
    suppress no others.
    """
    candidates = torch.where(_reported(scores, settings, config), scores, -1.0)
    # Overlaps are computed for boxes that can be reported only: usually a tenth of all.
    some = (candidates > settings.score_threshold).any(1)
    boxes, scores, values = boxes[some], scores[some], candidates[some].numpy()
    clashing = clashes(Faces.of(boxes.numpy(), config.nms_overlap), settings.nms_iou_threshold)
    if config.nms_across_classes:
        names = values.argmax(1)
        found = [(row, int(names[row])) for row in suppress(clashing, _best_first(values.max(1), settings))]
    else:
        columns = enumerate(np.ascontiguousarray(values.T))
        found = [(row, k) for k, column in columns for row in suppress(clashing, _best_first(column, settings))]
    rows, labels = torch.tensor(found, dtype=torch.int64).reshape(-1, 2).unbind(1)
    chosen = scores[rows, labels]
    order = torch.argsort(chosen, descending=True, stable=True)[: settings.max_detections]
    rows = rows[order]
    return boxes[rows], chosen[order], labels[order], scores[rows] if config.nms_across_classes else None


def _best_first(scores: np.ndarray, settings: DetectionSettings) -> list[int]:
    """The rows of (N,) scores over the threshold, best first."""
    rows = np.flatnonzero(scores > settings.score_threshold)
    return rows[np.argsort(-scores[rows], kind="stable")].tolist()


def _reported(scores: Tensor, settings: DetectionSettings, config: ModelConfig) -> Tensor:
    """(N, n_classes) mask: the classes that each prediction may be reported as.

    Where classes suppress each other, a prediction has one name, that of its best class, whatever the filter is.
    """
    names = torch.ones_like(scores, dtype=torch.bool)
    if config.nms_across_classes:
        names = torch.zeros_like(names).scatter(1, scores.argmax(1, keepdim=True), True)
    if settings.class_filter:
        names &= torch.tensor([name in settings.class_filter for name in config.classes])
    return names
