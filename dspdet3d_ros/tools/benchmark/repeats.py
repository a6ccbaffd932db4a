"""Repeated runs of several engines on the same cloud, timed by stage. The engines take turns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dspdet3d_ros.clouds.pointcloud2 import decode
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.result import Detections, DetectionSettings
from dspdet3d_ros.tools.benchmark.benchmark_scene import BenchmarkScene
from dspdet3d_ros.tools.benchmark.samples import summary

#: Stages of the network. The other stages come before and after it.
NETWORK_STAGES = ("backbone", "level3", "level2", "level1", "level0")


@dataclass
class EngineRuns:
    """Times of the measured runs of one engine.

    Attributes:
        stage_ms: milliseconds of every run by stage, in order of execution; 0 for a stage without cells.
        network_ms, total_ms: milliseconds of every run, in the network and in total.
    """

    stage_ms: dict[str, list[float]] = field(default_factory=dict)
    network_ms: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)
    _detections: list[Detections] = field(default_factory=list)

    @property
    def last(self) -> Detections:
        """Detections of the last run."""
        return self._detections[-1]

    def add(self, decode_ms: float, detections: Detections) -> None:
        """Adds one run."""
        stages = {"decode": decode_ms, **detections.stats.stage_ms}
        for stage in (*stages, *self.stage_ms):
            earlier = self.stage_ms.setdefault(stage, [0.0] * len(self.total_ms))
            if len(earlier) == len(self.total_ms):
                earlier.append(stages.get(stage, 0.0))
        self.network_ms.append(sum(stages.get(stage, 0.0) for stage in NETWORK_STAGES))
        self.total_ms.append(decode_ms + detections.stats.total_ms)
        self._detections[:] = [detections]

    def summary(self) -> dict[str, Any]:
        """Medians and percentiles of each stage, of the network and of the total."""
        return {
            "stages": {stage: summary(samples) for stage, samples in self.stage_ms.items()},
            "network_ms": summary(self.network_ms),
            "total_ms": summary(self.total_ms),
        }


def measure(
    detectors: Mapping[str, Detector], settings: DetectionSettings, scene: BenchmarkScene, repeats: int, warmup: int
) -> dict[str, EngineRuns]:
    """Runs every engine once per repeat, so that other load on the machine affects all engines equally.

    Args:
        detectors: the engines by name.
        settings: the thresholds.
        scene: the cloud. Each run starts with it as a message.
        repeats: measured runs of each engine.
        warmup: runs before those.
    """
    message = scene.message()
    runs = {name: EngineRuns() for name in detectors}
    for number in range(warmup + repeats):
        for name, detector in detectors.items():
            start = time.perf_counter()
            cloud = decode(message)
            decode_ms = (time.perf_counter() - start) * 1e3
            detections = detector(cloud, settings)
            if number >= warmup:
                runs[name].add(decode_ms, detections)
    return runs
