"""From the predictions of all levels to the boxes that are reported (DSPDet3D, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspdet3d_ros.detector.boxes import iou_matrix, suppress
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import LevelOutput
from dspdet3d_ros.detector.result import DetectionSettings, Shortlist

#: Boxes with an edge beyond e^±29 m (4e12 m) have overflowed: the volume of larger ones may be infinite in float32.
_LARGEST_LOG_SIZE = 29.0


def best_cells(outputs: Sequence[LevelOutput], config: ModelConfig) -> tuple[Tensor, Tensor, int]:
    """The `nms_pre` cells with the largest class logit over all levels together, largest first.

    Logits order cells as scores do, and where scores round to the same number too.

    Returns:
        (N, 6) finite boxes in metres, larger than nothing and of finite volume, (N, n_classes) scores, and the number
        of predictions over all levels that were left out because theirs are not.
    """
    # Most cells are looked at once: what costs more than that is done for the best few of each level.
    usable = [_usable(output) for output in outputs]
    boxes, logits = [], []
    for output, good in zip(outputs, usable, strict=True):
        top = torch.where(good, output.logits.amax(1), -torch.inf)
        rows = torch.topk(top, min(config.nms_pre, len(top))).indices
        boxes.append(output.boxes(config.voxel_size, rows))
        logits.append(torch.where(good[rows, None], output.logits[rows], -torch.inf))
    left_out = sum(torch.stack([(~good).sum() for good in usable]).tolist())
    found = sum(len(output.coords) for output in outputs) - left_out
    few_boxes, few_logits = torch.cat(boxes), torch.cat(logits)
    # Those that are not usable come last.
    best = torch.topk(few_logits.amax(1), min(config.nms_pre, found)).indices
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
    """What is reported, on the CPU, best score first.

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
    """What score threshold and class filter make of the scores.

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
    """Score threshold, class filter and suppression of duplicates, in this order.

    The class filter never changes the name or the scores of a box: it leaves boxes out. Boxes that it leaves out
    suppress no others.

    Args:
        boxes: (N, 6) metres.
        scores: (N, n_classes).
        settings: the thresholds.
        config: says how overlap is measured and whether classes suppress each other.

    Returns:
        At most `max_detections` boxes.
    """
    # What follows is sequential and asks for numbers all the time: on the host.
    boxes, scores = boxes.cpu(), scores.cpu()
    listed = shortlist(scores, settings, config)
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
    class_scores = None
    if config.nms_across_classes:
        class_scores = torch.where(scores[rows] > settings.score_threshold, scores[rows], 0.0)
    return Selection(boxes[rows], chosen[order], labels[order], class_scores, listed)


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
