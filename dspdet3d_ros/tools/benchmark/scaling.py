"""Time and memory as functions of the size of a building."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dspdet3d_ros.tools.benchmark.benchmark_scene import building
from dspdet3d_ros.tools.benchmark.peak_memory import detector_peak_memory
from dspdet3d_ros.tools.benchmark.repeats import measure
from dspdet3d_ros.tools.benchmark.target import BenchmarkTarget

ROOMS = (1, 2, 4, 8, 16)


def measure_scaling(
    target: BenchmarkTarget, backend: str, repeats: int, warmup: int, memory: bool, sizes: tuple[int, ...] = ROOMS
) -> dict[str, Any]:
    """Median time for buildings of several sizes, and the exponents e of time ~ area^e and of time ~ cells^e.

    Raises:
        InputError: model, weights, device or engine cannot be used, or the building cannot be generated.
    """
    from dspdet3d_ros.learning.generation.building import ROOM_AREA

    detector = target.load(backend)
    rows = []
    for count in sizes:
        scene = building(count)
        runs = measure({backend: detector}, target.settings(detector), scene, repeats, warmup)[backend]
        stats = runs.last.stats
        values = {
            "rooms": count,
            "area_m2": count * ROOM_AREA,
            "points": stats.points_in,
            "voxels": stats.voxels,
            "cells": sum(level.before for level in stats.levels),
            "boxes": len(runs.last),
            **runs.summary(),
        }
        if memory:
            values["memory"] = detector_peak_memory(target, backend, torch.get_num_threads(), scene.cloud.xyz)
        rows.append(values)
    times = [values["total_ms"]["median"] for values in rows]
    return {
        "exponent": exponent([values["area_m2"] for values in rows], times),
        "exponent_of_cells": exponent([values["cells"] for values in rows], times),
        "scaling": rows,
    }


def exponent(sizes: list[float], times: list[float]) -> float:
    """e of `time = c · size^e`, fitted to the logarithms by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def table(values: dict[str, Any]) -> str:
    """One row per building, then the exponents."""
    lines = [f"{'rooms':>5}{'m²':>8}{'points':>10}{'voxels':>10}{'cells':>10}{'ms':>10}{'p90':>10}{'peak MB':>9}"]
    for run in values["scaling"]:
        peak = f"{run['memory']['peak_mb']:9.0f}" if "memory" in run else f"{'-':>9}"
        lines.append(
            f"{run['rooms']:5d}{run['area_m2']:8.0f}{run['points']:10d}{run['voxels']:10d}{run['cells']:10d}"
            f"{run['total_ms']['median']:10.0f}{run['total_ms']['p90']:10.0f}{peak}"
        )
    lines.append(f"time ~ area^{values['exponent']:.2f}, ~ cells^{values['exponent_of_cells']:.2f}")
    return "\n".join(lines)
