"""Accuracy and cost at pruning thresholds τ from 0 to 1 (DSPDet3D, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dspdet3d_ros.detector.head import LEVELS
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.learning.datasets.labelled_scene import SceneSet
from dspdet3d_ros.learning.evaluation.accuracy import SceneEvaluation, figures, predictor_of
from dspdet3d_ros.output_files import new_figure, write_figure
from dspdet3d_ros.system import measure_peak_memory

TAUS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def sweep(detector: Detector, scenes: SceneSet, taus: Sequence[float] = TAUS) -> list[dict[str, Any]]:
    """Runs every scene at every τ, scene by scene, so that the state of the machine is the same for all τ.

    Returns:
        One mapping for each τ: `tau`; `figures` (see `accuracy.figures`); medians over the scenes of `cells` kept by
        level, of `backbone_ms`, `head_ms` and `total_ms`, and of `peak_bytes` (`PeakMemory.growth`; None if unknown).

    Raises:
        InputError: a scene cannot be read.
    """
    settings = detector.default_settings()
    rows: list[list[tuple[SceneEvaluation, float, float, int | None]]] = [[] for _ in taus]
    for scene in tqdm(scenes, total=len(scenes), desc="sweeping", unit="scene", disable=None):
        for row, tau in zip(rows, taus, strict=True):
            predict = predictor_of(detector, replace(settings, pruning_threshold=tau))
            predictions, memory = measure_peak_memory(partial(predict, scene), detector.device)
            head = sum(predictions.stage_ms.get(f"level{level}", 0.0) for level in range(LEVELS))
            backbone = predictions.stage_ms.get("backbone", 0.0)
            growth = None if memory is None else memory.growth
            row.append((SceneEvaluation.of(predictions, scene), backbone, head, growth))
    return [_row(tau, row, detector, scenes) for tau, row in zip(taus, rows, strict=True)]


def _row(tau: float, row: list[tuple], detector: Detector, scenes: SceneSet) -> dict[str, Any]:
    evaluations, backbone, head, peaks = zip(*row, strict=True)
    values = figures(evaluations, detector.default_settings().score_threshold, scenes.groups, detector.class_names)
    return {
        "tau": tau,
        "figures": values,
        "cells": values["median_kept"],
        "backbone_ms": float(np.median(backbone)),
        "head_ms": float(np.median(head)),
        "total_ms": values["median_ms"],
        "peak_bytes": None if None in peaks else float(np.median(peaks)),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The sweep as a Markdown table."""
    groups = list(rows[0]["figures"]["objects"])
    levels = list(rows[0]["cells"])
    heads = ["τ", "AP25", "AP50", *(f"AP25 {group}" for group in groups), "mAP25", "found", "false"]
    heads += [*(f"kept {level}" for level in levels), "head ms", "total ms", "peak MB"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        values = row["figures"]
        agnostic, means = values["agnostic"], values["means"].get("all")
        cells = [f"{row['tau']:g}", f"{agnostic['ap25']:.3f}", f"{agnostic['ap50']:.3f}"]
        cells += [f"{values['objects'][group]['ap25']:.3f}" for group in groups]
        cells += [f"{means['map25']:.3f}" if means else "–"]
        cells += [str(agnostic["found_at_threshold"]), str(agnostic["false_at_threshold"])]
        cells += [f"{row['cells'][level]:,.0f}" for level in levels]
        cells += [f"{row['head_ms']:.0f}", f"{row['total_ms']:.0f}"]
        cells += ["–" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(path: Path, rows: Sequence[dict[str, Any]], title: str) -> None:
    """Writes a PNG: accuracy above; time and peak memory below, relative to the smallest τ.

    Raises:
        InputError: matplotlib is missing or the file cannot be written.
    """
    figure = new_figure(8, 7, dpi=100)
    above, below = figure.subplots(2, 1, sharex=True)
    taus = [row["tau"] for row in rows]
    for key, label in (("ap25", "AP25"), ("ap50", "AP50")):
        above.plot(taus, [row["figures"]["agnostic"][key] for row in rows], marker="o", label=label)
    for group in rows[0]["figures"]["objects"]:
        values = [row["figures"]["objects"][group]["ap25"] for row in rows]
        above.plot(taus, values, linestyle="--", label=f"AP25, {group} objects")
    above.set(ylabel="average precision", ylim=(0, 1), title=title)
    costs = [("head_ms", "time of the head"), ("total_ms", "total time"), ("peak_bytes", "peak memory")]
    for key, label in costs:
        if rows[0][key]:
            below.plot(taus, [row[key] / rows[0][key] for row in rows], marker="o", label=label)
    below.set(xlabel="pruning threshold τ", ylabel=f"relative to τ = {taus[0]:g}", yscale="log")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.tight_layout()
    write_figure(path, figure)
