"""Accuracy figures of a detector, or of any other function from scenes to boxes, on labelled scenes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from dspdet3d_ros.detector.boxes import iou_matrix
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.result import DetectionSettings, LevelCells
from dspdet3d_ros.geometry import inside_any
from dspdet3d_ros.learning.datasets.labelled_scene import ANY_CLASS, LabelledScene, SceneSet
from dspdet3d_ros.learning.evaluation.calibration import reliability
from dspdet3d_ros.learning.evaluation.false_boxes import by_height, false_box_sources
from dspdet3d_ros.learning.evaluation.metric import Precision, SceneResult, class_precisions, group_precision, precision

#: Boxes below this score are ignored. The precision-recall curve needs low scores too.
LEAST_SCORE = 0.01
IOUS = (0.25, 0.5)
_ALL_DETECTIONS = 1_000_000


@dataclass(frozen=True)
class Predictions:
    """Predicted boxes of one scene.

    Attributes:
        boxes: (N, 6) metres.
        scores: (N,).
        names: N class names.
        ms: wall-clock milliseconds of the prediction.
        levels: cells by level of the network, coarse to fine; empty without a network.
        stage_ms: wall-clock milliseconds by stage of the network.
        class_names, class_scores: scores of the other classes of each box; see `SceneResult`.
    """

    boxes: np.ndarray
    scores: np.ndarray
    names: tuple[str, ...]
    ms: float
    levels: tuple[LevelCells, ...] = ()
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    class_scores: np.ndarray | None = None

    def with_truth(self, scene: LabelledScene) -> SceneResult:
        """The predictions together with the ground truth of the scene.

        Predictions whose centres lie in an `ignore` region are left out, unless they match an object at the lowest IoU.
        """
        rows = np.ones(len(self.boxes), bool)
        if scene.ignore is not None and len(rows):
            overlap = iou_matrix(self.boxes, scene.boxes)
            rows = ~inside_any(self.boxes[:, :3], scene.ignore) | np.logical_or.reduce(overlap > IOUS[0], axis=1)
        return SceneResult(
            self.boxes[rows],
            self.scores[rows],
            tuple(name for name, kept in zip(self.names, rows, strict=True) if kept),
            scene.boxes,
            scene.names,
            self.class_names,
            None if self.class_scores is None else self.class_scores[rows],
        )


@dataclass(frozen=True)
class SceneEvaluation:
    """Predictions and ground truth of one scene, with the cost of the predictions.

    Attributes:
        result: predictions and ground truth.
        subset: part of the data set to which the scene belongs.
        ms: wall-clock milliseconds of the prediction.
        levels: cells by level of the network, coarse to fine; empty without a network.
    """

    result: SceneResult
    subset: str
    ms: float
    levels: tuple[LevelCells, ...]

    @classmethod
    def of(cls, predictions: Predictions, scene: LabelledScene) -> SceneEvaluation:
        """The evaluation of predictions on their scene."""
        return cls(predictions.with_truth(scene), scene.subset, predictions.ms, predictions.levels)


Predictor = Callable[[LabelledScene], Predictions]


def predictor_of(detector: Detector, settings: DetectionSettings) -> Predictor:
    """A detector as a function from scenes to predictions, with the low scores that the metric needs."""
    settings = replace(
        settings, score_threshold=min(LEAST_SCORE, settings.score_threshold), max_detections=_ALL_DETECTIONS
    )

    def predict(scene: LabelledScene) -> Predictions:
        detections = detector(scene.xyz, settings)
        stats = detections.stats
        return Predictions(
            boxes=detections.boxes,
            scores=detections.scores,
            names=detections.names,
            ms=stats.total_ms,
            levels=stats.levels,
            stage_ms=stats.stage_ms,
            class_names=detections.class_names,
            class_scores=detections.class_scores,
        )

    return predict


def evaluate_scenes(predict: Predictor, scenes: SceneSet) -> list[SceneEvaluation]:
    """Predicts the boxes of every scene, with a progress bar.

    Raises:
        InputError: a scene cannot be read.
    """
    bar = tqdm(scenes, total=len(scenes), desc="evaluating", unit="scene", disable=None)
    return [SceneEvaluation.of(predict(scene), scene) for scene in bar]


def figures(
    evaluations: Sequence[SceneEvaluation],
    score_threshold: float,
    groups: Mapping[str, Collection[str]] | None = None,
    known: Collection[str] = (ANY_CLASS,),
) -> dict[str, Any]:
    """All figures as plain values.

    Args:
        evaluations: the evaluated scenes.
        score_threshold: boxes above this score count as reported.
        groups: groups of classes that the data set distinguishes, such as "small".
        known: the classes of the predictor. There are no figures by class if the scenes have no class names, or if the
            predictor has only one class and no scene has it.

    Returns:
        `agnostic`: figures without regard to classes; `subsets`: the same by subset, if there are several; `objects`:
        the same for the objects of each group of classes and of all `other` classes (see `group_precision`); `classes`:
        figures by class; `means` over `all` classes in the scenes and over those of each group; `groups`: the classes
        of each group; `heights`: objects by visible height; `false_boxes`: false boxes at the threshold by source (see
        `false_boxes`); `calibration`: see `reliability`; `unknown_classes`: classes that the predictor does not have;
        `median_ms`, `largest_ms`; by level `median_cells`, and of these `median_kept`.
    """
    results = [scene.result for scene in evaluations]
    by_class = {iou: _by_class(results, iou, known) for iou in IOUS}
    names = set(by_class[0.25])
    parts = _parts(names, groups or {})
    times = [scene.ms for scene in evaluations] or [0.0]
    return {
        "scenes": len(results),
        "agnostic": _summary(results, score_threshold),
        "subsets": _subsets(evaluations, score_threshold),
        "objects": {part: _group_summary(results, score_threshold, chosen) for part, chosen in parts.items()},
        "classes": {name: _class_figures([by_class[iou][name] for iou in IOUS]) for name in sorted(names)},
        "means": {part: _means(by_class, chosen) for part, chosen in ({"all": names} | parts).items() if chosen},
        "groups": {part: sorted(chosen) for part, chosen in parts.items() if part != "other"},
        "heights": by_height(results, score_threshold),
        "false_boxes": false_box_sources(results, score_threshold),
        "calibration": reliability(results),
        "unknown_classes": sorted(names - set(known)),
        "median_ms": float(np.median(times)),
        "largest_ms": float(max(times)),
        **_cells([scene.levels for scene in evaluations if scene.levels]),
    }


def _parts(names: set[str], groups: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """Each group with those of its classes that occur in the scenes, and `other` with the remaining classes."""
    parts = {part: names & set(chosen) for part, chosen in groups.items()}
    other = names - set().union(*parts.values())
    parts = {part: chosen for part, chosen in parts.items() if chosen}
    return parts | {"other": other} if parts and other else parts


def _by_class(results: Sequence[SceneResult], iou: float, known: Collection[str]) -> dict[str, Precision]:
    in_truth = {name for result in results for name in result.truth_names}
    if in_truth <= {ANY_CLASS} or (len(known) == 1 and not in_truth & set(known)):
        return {}
    return class_precisions(results, iou)


def _subsets(evaluations: Sequence[SceneEvaluation], score_threshold: float) -> dict[str, Any]:
    subsets = sorted({scene.subset for scene in evaluations})
    if len(subsets) < 2:
        return {}
    return {
        name: _summary([scene.result for scene in evaluations if scene.subset == name], score_threshold)
        for name in subsets
    }


def _summary(results: Sequence[SceneResult], score_threshold: float) -> dict[str, Any]:
    return _at_threshold([precision(results, iou) for iou in IOUS], score_threshold)


def _group_summary(results: Sequence[SceneResult], score_threshold: float, names: Collection[str]) -> dict[str, Any]:
    return _at_threshold([group_precision(results, iou, names) for iou in IOUS], score_threshold)


def _at_threshold(precisions: Sequence[Precision], score_threshold: float) -> dict[str, Any]:
    hits, false = precisions[0].at_score(score_threshold)
    f1 = 2 * hits / max(hits + false + precisions[0].truth, 1)
    return {
        **_class_figures(precisions),
        "found_at_threshold": hits,
        "false_at_threshold": false,
        "f1_at_threshold": f1,
    }


def _class_figures(precisions: Sequence[Precision]) -> dict[str, Any]:
    loose, strict = precisions
    return {
        "objects": loose.truth,
        "ap25": loose.average,
        "ap50": strict.average,
        "recall25": loose.recall,
        "recall50": strict.recall,
    }


def _means(by_class: Mapping[float, Mapping[str, Precision]], names: Collection[str]) -> dict[str, Any]:
    means: dict[str, Any] = {"classes": len(names)}
    for iou, suffix in zip(IOUS, ("25", "50"), strict=True):
        chosen = [by_class[iou][name] for name in names]
        means[f"map{suffix}"] = float(np.mean([one.average for one in chosen]))
        means[f"recall{suffix}"] = float(np.mean([one.recall for one in chosen]))
    return means


def _cells(scenes: Sequence[Sequence[LevelCells]]) -> dict[str, Any]:
    if not scenes:
        return {}
    counts = np.median([[(cells.before, cells.kept) for cells in levels] for levels in scenes], axis=0)
    keys = [f"level{cells.level}" for cells in scenes[0]]
    return {
        "median_cells": dict(zip(keys, counts[:, 0].tolist(), strict=True)),
        "median_kept": dict(zip(keys, counts[:, 1].tolist(), strict=True)),
    }


def table(values: Mapping[str, Any]) -> str:
    """The figures as text."""
    names = [f"  {name}" for name in values["subsets"]]
    names += [f"  {name} objects" for name in values["objects"]] + [f"  class {name}" for name in values["classes"]]
    width = max(24, *(len(name) for name in names)) if names else 24
    lines = [
        f"{'':{width}}{'objects':>8}{'AP25':>8}{'AP50':>8}{'recall25':>10}{'recall50':>10}{'found':>8}{'false':>8}{'F1':>8}",
        _row("all, class-agnostic", values["agnostic"], width),
    ]
    parts = [part for key in ("subsets", "objects", "classes") for part in values[key].values()]
    lines += [_row(name, part, width) for name, part in zip(names, parts, strict=True)]
    for group, means in values["means"].items():
        title = f"mean, {means['classes']} {'' if group == 'all' else group + ' '}classes"
        lines.append(
            f"{title:{width}}{'':8}{means['map25']:8.3f}{means['map50']:8.3f}"
            f"{means['recall25']:10.3f}{means['recall50']:10.3f}"
        )
    for group, classes in values["groups"].items():
        if len(classes) < len(values["classes"]):
            lines.append(f"{group} classes: {', '.join(classes)}")
    for name, part in values["heights"].items():
        row = f"  {name + ' high':{width - 2}}{part['objects']:8d}{'':16}"
        lines.append(f"{row}{part['recall25']:10.3f}{part['recall50']:10.3f}{part['found_at_threshold']:8d}")
    if any(values["false_boxes"].values()):
        lines.append(f"false boxes: {', '.join(f'{name} {count}' for name, count in values['false_boxes'].items())}")
    lines.append(f"calibration error {values['calibration']['error']:.3f}")
    if values["unknown_classes"]:
        lines.append(f"classes that the model does not know: {', '.join(values['unknown_classes'])}")
    lines.append(
        f"{values['scenes']} scenes, median {values['median_ms']:.0f} ms, largest {values['largest_ms']:.0f} ms"
    )
    if "median_cells" in values:
        cells = (
            f"{name} {count:.0f}, kept {values['median_kept'][name]:.0f}"
            for name, count in values["median_cells"].items()
        )
        lines.append(f"median cells: {'; '.join(cells)}")
    return "\n".join(lines)


def _row(name: str, part: Mapping[str, Any], width: int) -> str:
    row = f"{name:{width}}{part['objects']:8d}{part['ap25']:8.3f}{part['ap50']:8.3f}"
    row += f"{part['recall25']:10.3f}{part['recall50']:10.3f}"
    if "found_at_threshold" in part:
        row += f"{part['found_at_threshold']:8d}{part['false_at_threshold']:8d}{part['f1_at_threshold']:8.3f}"
    return row
