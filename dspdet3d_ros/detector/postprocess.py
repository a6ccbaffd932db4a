"""From the predictions of all levels to the boxes that are reported (DSPDet3D, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dspdet3d_ros.detector.boxes import iou_matrix, suppress
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.fused_boxes import fused
from dspdet3d_ros.detector.head import LevelOutput
from dspdet3d_ros.detector.result import DetectionSettings, Shortlist
from dspdet3d_ros.detector.score_map import ScoreMap

#: Boxes with an edge beyond e^±29 m (4e12 m) have overflowed: the volume of larger ones may be infinite in float32.
_LARGEST_LOG_SIZE = 29.0
#: Fusion takes all cells with a larger class logit than this, a little less than those that vote; but at
#: least and at most these numbers.
_LEAST_LOGIT = -3.0
_FEWEST, _MOST = 1000, 50_000


def best_cells(outputs: Sequence[LevelOutput], config: ModelConfig) -> tuple[Tensor, Tensor, int]:
    """The `nms_pre` cells with the largest class logit over all levels together, largest first.

    Logits order cells as scores do, and where scores round to the same number too.

    Returns:
        (N, 6) finite boxes in metres, larger than nothing and of finite volume, (N, n_classes) scores, and the number
        of predictions over all levels that were left out because theirs are not.
    """
    # Most cells are looked at once: what costs more than that is done for the best few of each level.
    usable = [_usable(output) for output in outputs]
    tops = [torch.where(good, output.logits.amax(1), -torch.inf) for output, good in zip(outputs, usable, strict=True)]
    counts = torch.stack([*((~good).sum() for good in usable), *((top > _LEAST_LOGIT).sum() for top in tops)]).tolist()
    left_out, voters = sum(counts[: len(usable)]), sum(counts[len(usable) :])
    most = config.nms_pre
    if config.postprocessing == "fused":
        # All that have a vote, however large the map is: then a box does not depend on what else is in the map.
        most = min(max(voters, _FEWEST), _MOST)
    boxes, logits = [], []
    for output, good, top in zip(outputs, usable, tops, strict=True):
        rows = torch.topk(top, min(most, len(top))).indices
        boxes.append(output.boxes(config.voxel_size, rows))
        logits.append(torch.where(good[rows, None], output.logits[rows], -torch.inf))
    found = sum(len(output.coords) for output in outputs) - left_out
    few_boxes, few_logits = torch.cat(boxes), torch.cat(logits)
    # Those that are not usable come last.
    best = torch.topk(few_logits.amax(1), min(most, found)).indices
    return few_boxes[best], torch.sigmoid(few_logits[best]), left_out


def _usable(output: LevelOutput) -> Tensor:
    """(N,) mask: predictions that are finite, of boxes that are larger than nothing and of finite volume."""
    # What is not finite shows in the largest or the smallest value of a row.
    logits, centre, size = output.logits, output.regression[:, :3], output.regression[:, 3:]
    finite = [torch.isfinite(part.amax(1)) & torch.isfinite(part.amin(1)) for part in (logits, centre)]
    fits = (size.amax(1) <= _LARGEST_LOG_SIZE) & (size.amin(1) >= -_LARGEST_LOG_SIZE)
    return finite[0] & finite[1] & fits


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
    best = int(scores.argmax())
    over = scores > settings.score_threshold
    return Shortlist(
        predictions=len(scores),
        best_score=float(scores.flatten()[best]),
        best_class=config.classes[best % len(config.classes)],
        over_threshold=int(over.any(1).sum()),
        of_wanted_classes=int((over & _reported(scores, settings, config)).any(1).sum()),
    )


def select_boxes(boxes: Tensor, scores: Tensor, settings: DetectionSettings, config: ModelConfig) -> Selection:
    """From candidates to the boxes that are reported, by the model's kind of post-processing.

    Args:
        boxes: (N, 6) metres.
        scores: (N, n_classes) of the network.
        settings: the thresholds; that of the score is compared with reported scores.
        config: says how overlap is measured, whether classes suppress each other, and how scores are mapped.

    Returns:
        At most `max_detections` boxes.
    """
    # What follows is sequential and asks for numbers all the time: on the host.
    boxes, scores = boxes.cpu(), scores.cpu()
    score_map = ScoreMap(*config.score_map) if config.score_map else ScoreMap()
    settings = replace(settings, score_threshold=score_map.inverse(settings.score_threshold))
    listed = shortlist(scores, settings, config)
    if config.postprocessing == "fused":
        boxes, scores = fused(boxes, scores, settings.score_threshold, settings.nms_iou_threshold)
        if len(scores):
            listed = replace(shortlist(scores, settings, config), predictions=listed.predictions)
        boxes, chosen, labels, class_scores = _filtered(boxes, scores, settings, config)
    else:
        boxes, chosen, labels, class_scores = _best_boxes(boxes, scores, settings, config)
    listed = replace(listed, best_score=float(score_map(torch.tensor(listed.best_score))))
    if class_scores is not None:
        class_scores = torch.where(class_scores > settings.score_threshold, score_map(class_scores), 0.0)
    return Selection(boxes, score_map(chosen), labels, class_scores, listed)


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
    boxes, scores, candidates = boxes[some], scores[some], candidates[some]
    iou = iou_matrix(boxes, boxes, config.nms_overlap)
    if config.nms_across_classes:
        rows, labels = _one_box_an_object(candidates, iou, settings)
    else:
        rows, labels = _boxes_by_class(candidates, iou, settings)
    chosen = scores[rows, labels]
    order = torch.argsort(chosen, descending=True, stable=True)[: settings.max_detections]
    rows = rows[order]
    return boxes[rows], chosen[order], labels[order], scores[rows] if config.nms_across_classes else None


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


def _one_box_an_object(scores: Tensor, iou: Tensor, settings: DetectionSettings) -> tuple[Tensor, Tensor]:
    best, labels = scores.max(1)
    rows = suppress(iou, best, settings.nms_iou_threshold, settings.score_threshold)
    return rows, labels[rows]


def _boxes_by_class(scores: Tensor, iou: Tensor, settings: DetectionSettings) -> tuple[Tensor, Tensor]:
    columns = scores.t().contiguous()
    kept = [suppress(iou, column, settings.nms_iou_threshold, settings.score_threshold) for column in columns]
    labels = [torch.full_like(rows, label) for label, rows in enumerate(kept)]
    return torch.cat(kept), torch.cat(labels)
