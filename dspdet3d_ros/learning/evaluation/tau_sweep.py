"""The pruning threshold τ from 0 to 1: what it costs and what it finds (DSPDet3D, section 3.3)."""

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
from dspdet3d_ros.learning.datasets.scene import SceneSet
from dspdet3d_ros.learning.evaluation.accuracy import Judged, figures, finder
from dspdet3d_ros.learning.evaluation.memory import peak_of
from dspdet3d_ros.output_files import new_figure, write_figure

TAUS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def sweep(detector: Detector, scenes: SceneSet, taus: Sequence[float] = TAUS) -> list[dict[str, Any]]:
    """Every scene at every τ, scene by scene, so that all τ meet the machine in the same state.

    Returns:
        One mapping for each τ: `tau`; the `figures` of `report.figures`; medians over the scenes of `cells` kept by
        level, of `backbone_ms`, `head_ms` and `total_ms`, and of `peak_bytes` (`memory.Peak.taken`; None if unknown).

    Raises:
        InputError: a scene cannot be read.
    """
    settings = detector.default_settings()
    rows: list[list[tuple[Judged, float, float, int | None]]] = [[] for _ in taus]
    for scene in tqdm(scenes, total=len(scenes), desc="sweeping", unit="scene", disable=None):
        for row, tau in zip(rows, taus, strict=True):
            find = finder(detector, replace(settings, pruning_threshold=tau))
            found, peak = peak_of(partial(find, scene), detector.device)
            head = sum(found.stage_ms.get(f"level{level}", 0.0) for level in range(LEVELS))
            judged = Judged(found.beside(scene), scene.subset, found.ms, found.levels)
            row.append((judged, found.stage_ms.get("backbone", 0.0), head, None if peak is None else peak.taken))
    return [_row(tau, row, detector, scenes) for tau, row in zip(taus, rows, strict=True)]


def _row(tau: float, row: list[tuple], detector: Detector, scenes: SceneSet) -> dict[str, Any]:
    judged, backbone, head, peaks = zip(*row, strict=True)
    values = figures(judged, detector.default_settings().score_threshold, scenes.groups, detector.class_names)
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
    """The sweep to read, as a table of Markdown."""
    groups = list(rows[0]["figures"]["things"])
    levels = list(rows[0]["cells"])
    heads = ["τ", "AP25", "AP50", *(f"AP25 {group}" for group in groups), "mAP25", "found", "false"]
    heads += [*(f"kept {level}" for level in levels), "head ms", "all ms", "peak MB"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for row in rows:
        values = row["figures"]
        agnostic, means = values["agnostic"], values["means"].get("all")
        cells = [f"{row['tau']:g}", f"{agnostic['ap25']:.3f}", f"{agnostic['ap50']:.3f}"]
        cells += [f"{values['things'][group]['ap25']:.3f}" for group in groups]
        cells += [f"{means['map25']:.3f}" if means else "–"]
        cells += [str(agnostic["found_at_threshold"]), str(agnostic["false_at_threshold"])]
        cells += [f"{row['cells'][level]:,.0f}" for level in levels]
        cells += [f"{row['head_ms']:.0f}", f"{row['total_ms']:.0f}"]
        cells += ["–" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(path: Path, rows: Sequence[dict[str, Any]], title: str) -> None:
    """Writes a PNG: accuracy above, the head's time and the peak memory below, both relative to the least τ.

    Raises:
        InputError: matplotlib is missing or the file cannot be written.
    """
    figure = new_figure(8, 7, dpi=100)
    above, below = figure.subplots(2, 1, sharex=True)
    taus = [row["tau"] for row in rows]
    for key, label in (("ap25", "AP25"), ("ap50", "AP50")):
        above.plot(taus, [row["figures"]["agnostic"][key] for row in rows], marker="o", label=label)
    for group in rows[0]["figures"]["things"]:
        values = [row["figures"]["things"][group]["ap25"] for row in rows]
        above.plot(taus, values, linestyle="--", label=f"AP25, {group} things")
    above.set(ylabel="average precision", ylim=(0, 1), title=title)
    costs = [("head_ms", "time of the head"), ("total_ms", "time in all"), ("peak_bytes", "peak memory")]
    for key, label in costs:
        if rows[0][key]:
            below.plot(taus, [row[key] / rows[0][key] for row in rows], marker="o", label=label)
    below.set(xlabel="pruning threshold τ", ylabel=f"part of that at τ = {taus[0]:g}", yscale="log")
    for axes in (above, below):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.tight_layout()
    write_figure(path, figure)
