"""The benchmark of the detector: stages, arithmetic, the machine's ceiling, memory, and another engine beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.tools.benchmark.benchmark_scene import BenchmarkScene
from dspdet3d_ros.tools.benchmark.convolutions import measure_kinds
from dspdet3d_ros.tools.benchmark.flop_count import map_milliseconds, work_of
from dspdet3d_ros.tools.benchmark.gemm_peak import ceilings
from dspdet3d_ros.tools.benchmark.peak_memory import peak_memory
from dspdet3d_ros.tools.benchmark.repeats import NETWORK_STAGES, Runs, measure
from dspdet3d_ros.tools.benchmark.samples import summary
from dspdet3d_ros.tools.benchmark.target import Subject

#: Boxes are alike whose centres and sizes differ by at most a centimetre and whose scores by at most this.
_ALIKE_M, _ALIKE_SCORE = 0.01, 0.01


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Attributes:
        backend: the engine.
        against: another engine, or None.
        rounds: measured rounds.
        warmup: rounds before those.
        memory: whether to measure peak memory, in processes of their own.
        convolutions: whether to time each kind of convolution on its own.
    """

    backend: str
    against: str | None
    rounds: int
    warmup: int
    memory: bool
    convolutions: bool


def benchmark(subject: Subject, scene: BenchmarkScene, plan: Plan) -> dict[str, Any]:
    """All figures as plain values; times in milliseconds, rates in GFLOP/s (two operations a multiply-add).

    Raises:
        InputError: model, weights, device or an engine cannot be used.
    """
    names = [plan.backend, *([plan.against] if plan.against else [])]
    detectors = {name: subject.load(name) for name in names}
    detector = detectors[plan.backend]
    device = torch.device(detector.device)
    settings = subject.settings(detector)
    dtype = torch.float16 if plan.backend == "triton" and subject.precision != "fp32" else torch.float32
    before = ceilings(device, dtype)
    runs = measure(detectors, settings, scene, plan.rounds, plan.warmup)
    after = ceilings(device, dtype)
    own = runs[plan.backend]
    engines = {name: run.summary() for name, run in runs.items()}
    work = work_of(detector, scene.xyz, settings)
    if plan.backend != "minkowski":
        spent = [map_milliseconds(work.convolutions, device, plan.backend) for _ in range(plan.rounds)]
        engines[plan.backend]["maps_ms"] = summary([sum(stages.values()) for stages in spent])
    if plan.memory:
        for name, engine in engines.items():
            engine["memory"] = peak_memory(subject, name, torch.get_num_threads(), scene.xyz)
    values: dict[str, Any] = {
        "model": detector.model_name,
        "pruning_threshold": settings.pruning_threshold,
        "rounds": plan.rounds,
        "warmup": plan.warmup,
        "backend": plan.backend,
        "precision": str(dtype).removeprefix("torch."),
        "scene": _scene(scene, own.last),
        "engines": engines,
        "work": _work(work.by_stage(), engines[plan.backend]),
        "ceiling": {str(c): max(before[c], after[c], key=lambda found: found["gflops"]) for c in before},
    }
    if plan.convolutions:
        kinds = {name: found.engine for name, found in detectors.items()}
        best = {channels: values["ceiling"][str(channels)] for channels in before}
        values["convolutions"] = measure_kinds(work.convolutions, kinds, best, device, plan.rounds)
    if plan.against:
        values |= _comparison(plan.against, own, runs[plan.against])
    return values


def _scene(scene: BenchmarkScene, found: Detections) -> dict[str, Any]:
    stats = found.stats
    return {
        "name": scene.name,
        "points": stats.points_in,
        "voxels": stats.voxels,
        "levels": [vars(cells) for cells in stats.levels],
        "boxes": len(found),
    }


def _work(multiply_adds: dict[str, int], engine: dict[str, Any]) -> dict[str, Any]:
    """Useful arithmetic and what is reached of it a second, by stage and in the network."""
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


def _comparison(against: str, ours: Runs, theirs: Runs) -> dict[str, Any]:
    """Their median time over ours, and whether both found the same."""
    return {
        "against": against,
        "speedup": float(np.median(theirs.network_ms) / np.median(ours.network_ms)),
        "speedup_total": float(np.median(theirs.total_ms) / np.median(ours.total_ms)),
        "agreement": {"boxes": len(ours.last), "alike": _alike(ours.last, theirs.last)},
    }


def _alike(ours: Detections, theirs: Detections) -> int:
    """How many of our boxes have one of theirs of the same class, place, size and score."""
    count = 0
    for box, score, label in zip(ours.boxes, ours.scores, ours.labels, strict=True):
        near = (np.abs(theirs.boxes - box) <= _ALIKE_M).all(axis=1) & (np.abs(theirs.scores - score) <= _ALIKE_SCORE)
        count += bool((near & (theirs.labels == label)).any())
    return count
