"""The benchmark of the detector: stages, arithmetic, GEMM peak, peak memory, and comparison with another engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.tools.benchmark.benchmark_scene import BenchmarkScene
from dspdet3d_ros.tools.benchmark.convolutions import measure_kinds
from dspdet3d_ros.tools.benchmark.flop_count import count_flops, map_milliseconds
from dspdet3d_ros.tools.benchmark.gemm_peak import gemm_peaks
from dspdet3d_ros.tools.benchmark.peak_memory import detector_peak_memory
from dspdet3d_ros.tools.benchmark.repeats import NETWORK_STAGES, EngineRuns, measure
from dspdet3d_ros.tools.benchmark.samples import summary
from dspdet3d_ros.tools.benchmark.target import BenchmarkTarget

#: Two boxes agree if centres and sizes differ by at most a centimetre and scores by at most this.
_AGREE_M, _AGREE_SCORE = 0.01, 0.01


@dataclass(frozen=True)
class BenchmarkOptions:
    """Settings of a measurement.

    Attributes:
        backend: the engine.
        against: another engine to compare with, or None.
        repeats: measured runs of each engine.
        warmup: runs before those.
        memory: whether to measure peak memory, in separate processes.
        convolutions: whether to time each kind of convolution separately.
    """

    backend: str
    against: str | None
    repeats: int
    warmup: int
    memory: bool
    convolutions: bool


def benchmark(target: BenchmarkTarget, scene: BenchmarkScene, options: BenchmarkOptions) -> dict[str, Any]:
    """All figures as plain values: times in milliseconds, rates in GFLOP/s (two operations per multiply-add).

    Raises:
        InputError: model, weights, device or an engine cannot be used.
    """
    names = [options.backend, *([options.against] if options.against else [])]
    detectors = {name: target.load(name) for name in names}
    detector = detectors[options.backend]
    device = torch.device(detector.device)
    settings = target.settings(detector)
    dtype = torch.float16 if options.backend == "triton" and target.precision != "fp32" else torch.float32
    before = gemm_peaks(device, dtype)
    runs = measure(detectors, settings, scene, options.repeats, options.warmup)
    after = gemm_peaks(device, dtype)
    own = runs[options.backend]
    engines = {name: run.summary() for name, run in runs.items()}
    flops = count_flops(detector, scene.cloud.xyz, settings)
    if options.backend != "minkowski":
        spent = [map_milliseconds(flops.convolutions, device, options.backend) for _ in range(options.repeats)]
        engines[options.backend]["maps_ms"] = summary([sum(stages.values()) for stages in spent])
    if options.memory:
        for name, engine in engines.items():
            engine["memory"] = detector_peak_memory(target, name, torch.get_num_threads(), scene.cloud.xyz)
    values: dict[str, Any] = {
        "model": detector.model_name,
        "pruning_threshold": settings.pruning_threshold,
        "repeats": options.repeats,
        "warmup": options.warmup,
        "backend": options.backend,
        "precision": str(dtype).removeprefix("torch."),
        "scene": _scene(scene, own.last),
        "engines": engines,
        "flop_count": _flop_rates(flops.by_stage(), engines[options.backend]),
        "gemm_peak": {str(c): max(before[c], after[c], key=lambda peak: peak["gflops"]) for c in before},
    }
    if options.convolutions:
        engine_of = {name: one.engine for name, one in detectors.items()}
        peaks = {channels: values["gemm_peak"][str(channels)] for channels in before}
        values["convolutions"] = measure_kinds(flops.convolutions, engine_of, peaks, device, options.repeats)
    if options.against:
        values |= _comparison(options.against, own, runs[options.against])
    return values


def _scene(scene: BenchmarkScene, detections: Detections) -> dict[str, Any]:
    stats = detections.stats
    return {
        "name": scene.name,
        "points": stats.points_in,
        "voxels": stats.voxels,
        "levels": [vars(cells) for cells in stats.levels],
        "boxes": len(detections),
    }


def _flop_rates(multiply_adds: dict[str, int], engine: dict[str, Any]) -> dict[str, Any]:
    """Arithmetic and rate of each stage and of the network."""
    stages = {
        stage: _rate(count, engine["stages"][stage]["median"])
        for stage, count in multiply_adds.items()
        if stage in NETWORK_STAGES
    }
    network = _rate(sum(multiply_adds.values()), engine["network_ms"]["median"])
    return {"stages": stages, "network": network}


def _rate(multiply_adds: int, ms: float) -> dict[str, float]:
    gflop = 2 * multiply_adds / 1e9
    return {"multiply_adds": multiply_adds, "gflop": gflop, "gflops": gflop / (ms / 1e3)}


def _comparison(against: str, ours: EngineRuns, theirs: EngineRuns) -> dict[str, Any]:
    """Median time of the other engine divided by ours, and how many boxes agree."""
    return {
        "against": against,
        "speedup": float(np.median(theirs.network_ms) / np.median(ours.network_ms)),
        "speedup_total": float(np.median(theirs.total_ms) / np.median(ours.total_ms)),
        "agreement": {"boxes": len(ours.last), "agreeing": _agreeing(ours.last, theirs.last)},
    }


def _agreeing(ours: Detections, theirs: Detections) -> int:
    """Number of our boxes for which the other engine has one of the same class, position, size and score."""
    count = 0
    for box, score, label in zip(ours.boxes, ours.scores, ours.labels, strict=True):
        near = (np.abs(theirs.boxes - box) <= _AGREE_M).all(axis=1) & (np.abs(theirs.scores - score) <= _AGREE_SCORE)
        count += bool((near & (theirs.labels == label)).any())
    return count
