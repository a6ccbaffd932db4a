"""From the candidates to the boxes that are reported (DSPDet3D, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dspdet3d_ros.detector.boxes import Faces, clashes, suppress
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.fused_boxes import fused
from dspdet3d_ros.detector.result import DetectionSettings, Shortlist
from dspdet3d_ros.detector.score_map import ScoreMap


def network_threshold(settings: DetectionSettings, config: ModelConfig) -> float:
    """The score threshold in scores of the network, before the score map."""
    return _score_map(config).inverse(settings.score_threshold)


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
    if boxes.device.type != "cpu":
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
