"""Figures of a detector on labelled scenes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.result import DetectionSettings, DetectionStats
from dspdet3d_ros.evaluation.metric import Precision, SceneResult, class_precisions, precision
from dspdet3d_ros.evaluation.scenes import LabelledScene

#: Boxes below this score are not looked at; the curve needs the low ones too.
LEAST_SCORE = 0.01


def run(
    detector: Detector, settings: DetectionSettings, scenes: Iterable[LabelledScene], count: int
) -> tuple[list[SceneResult], list[str], list[DetectionStats]]:
    """Detects in every scene; results, subsets and statistics in their order."""
    settings = replace(settings, score_threshold=min(LEAST_SCORE, settings.score_threshold))
    results, subsets, stats = [], [], []
    for scene in tqdm(scenes, total=count, desc="evaluating", unit="scene"):
        found = detector(scene.xyz, settings)
        results.append(SceneResult(found.boxes, found.scores, found.names, scene.boxes, scene.names))
        subsets.append(scene.subset)
        stats.append(found.stats)
    return results, subsets, stats


def figures(
    results: list[SceneResult], subsets: list[str], stats: list[DetectionStats], score_threshold: float
) -> dict[str, Any]:
    """All figures as plain values: class-agnostic, by subset, by class, and what they cost."""
    by_class = {iou: class_precisions(results, iou) for iou in (0.25, 0.5)}
    cells = np.array([[level.before for level in stat.levels] for stat in stats])
    return {
        "scenes": len(results),
        "agnostic": _summary(results, score_threshold),
        "subsets": {
            name: _summary([r for r, own in zip(results, subsets, strict=True) if own == name], score_threshold)
            for name in sorted(set(subsets))
        },
        "classes": {
            name: {
                "objects": first.truth,
                "ap25": first.average,
                "ap50": by_class[0.5][name].average,
                "recall25": first.recall,
            }
            for name, first in by_class[0.25].items()
        },
        "map25": _mean(by_class[0.25]),
        "map50": _mean(by_class[0.5]),
        "median_ms": float(np.median([stat.total_ms for stat in stats])),
        "median_cells": dict(
            zip(("level3", "level2", "level1", "level0"), np.median(cells, axis=0).tolist(), strict=True)
        ),
    }


def _summary(results: list[SceneResult], score_threshold: float) -> dict[str, Any]:
    loose, strict = precision(results, 0.25), precision(results, 0.5)
    hits, false = loose.at_score(score_threshold)
    return {
        "objects": loose.truth,
        "ap25": loose.average,
        "ap50": strict.average,
        "recall25": loose.recall,
        "recall50": strict.recall,
        "found_at_threshold": hits,
        "false_at_threshold": false,
    }


def _mean(precisions: dict[str, Precision]) -> float:
    return float(np.mean([p.average for p in precisions.values()])) if precisions else 0.0


def table(values: dict[str, Any]) -> str:
    """The figures to read."""
    head = f"{'':24}{'objects':>8}{'AP25':>8}{'AP50':>8}{'recall25':>10}{'found':>8}{'false':>8}"
    lines = [head, _row("all, class-agnostic", values["agnostic"])]
    lines += [_row(f"  {name}", part) for name, part in values["subsets"].items()]
    lines += [_row(f"  class {name}", part) for name, part in values["classes"].items()]
    lines.append(f"{'mean over classes':24}{'':8}{values['map25']:8.3f}{values['map50']:8.3f}")
    cells = "  ".join(f"{name} {count:.0f}" for name, count in values["median_cells"].items())
    lines.append(f"{values['scenes']} scenes, median {values['median_ms']:.0f} ms; median cells: {cells}")
    return "\n".join(lines)


def _row(name: str, part: dict[str, Any]) -> str:
    row = f"{name:24}{part['objects']:8d}{part['ap25']:8.3f}{part['ap50']:8.3f}{part['recall25']:10.3f}"
    if "found_at_threshold" in part:
        row += f"{part['found_at_threshold']:8d}{part['false_at_threshold']:8d}"
    return row
