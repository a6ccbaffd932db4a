"""Time of the stages before the network: decoding, filtering, voxelising."""

from __future__ import annotations

from typing import Any

import numpy as np

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.system import torch_threads
from dspdet3d_ros.tools.benchmark.benchmark_scene import BenchmarkScene, building
from dspdet3d_ros.tools.benchmark.repeats import measure
from dspdet3d_ros.tools.benchmark.samples import summary
from dspdet3d_ros.tools.benchmark.target import BenchmarkTarget

POINTS = 500_000
STAGES = ("decode", "points", "voxelise")


def measure_cloud_side(target: BenchmarkTarget, backend: str, repeats: int, warmup: int) -> dict[str, Any]:
    """Milliseconds of the stages before the network for 500,000 points of the building, on one core.

    Raises:
        InputError: model, weights, device or engine cannot be used, or the building cannot be generated.
    """
    detector = target.load(backend)
    whole = building(2)
    xyz, rgb = whole.cloud.xyz, whole.cloud.rgb
    rows = np.linspace(0, len(xyz) - 1, POINTS).astype(np.int64)
    part = PointCloud(xyz[rows], None if rgb is None else rgb[rows])
    scene = BenchmarkScene(f"{POINTS} points of a {whole.name}", part)
    with torch_threads(1):
        runs = measure({backend: detector}, target.settings(detector), scene, repeats, warmup)[backend]
    stages = {stage: runs.stage_ms[stage] for stage in STAGES}
    return {
        "points": runs.last.stats.points_in,
        "voxels": runs.last.stats.voxels,
        "stages": {stage: summary(samples) for stage, samples in stages.items()},
        "ms": summary([sum(samples) for samples in zip(*stages.values(), strict=True)]),
    }


def table(values: dict[str, Any]) -> str:
    """The figures in one line."""
    stages = ", ".join(f"{stage} {times['median']:.1f}" for stage, times in values["stages"].items())
    return f"before the network, {values['points']} points on one core: {values['ms']['median']:.1f} ms ({stages})"
