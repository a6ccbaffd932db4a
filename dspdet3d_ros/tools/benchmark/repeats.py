"""Several engines on the same cloud, in turn, stage by stage."""

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

#: The stages in which the network computes; the others are what surrounds it.
NETWORK_STAGES = ("backbone", "level3", "level2", "level1", "level0")


@dataclass
class Runs:
    """What the measured runs of one engine took.

    Attributes:
        stage_ms: milliseconds of every run by stage, in order of execution; a stage that pruning left out took 0.
        network_ms, total_ms: milliseconds of every run, in the network and in all.
    """

    stage_ms: dict[str, list[float]] = field(default_factory=dict)
    network_ms: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)
    _found: list[Detections] = field(default_factory=list)

    @property
    def last(self) -> Detections:
        """What the last run found."""
        return self._found[-1]

    def add(self, decode_ms: float, found: Detections) -> None:
        """Takes note of a run."""
        stages = {"decode": decode_ms, **found.stats.stage_ms}
        for stage in (*stages, *self.stage_ms):
            earlier = self.stage_ms.setdefault(stage, [0.0] * len(self.total_ms))
            if len(earlier) == len(self.total_ms):
                earlier.append(stages.get(stage, 0.0))
        self.network_ms.append(sum(stages.get(stage, 0.0) for stage in NETWORK_STAGES))
        self.total_ms.append(decode_ms + found.stats.total_ms)
        self._found[:] = [found]

    def summary(self) -> dict[str, Any]:
        """Medians and percentiles of the stages, of the network and of all."""
        return {
            "stages": {stage: summary(samples) for stage, samples in self.stage_ms.items()},
            "network_ms": summary(self.network_ms),
            "total_ms": summary(self.total_ms),
        }


def measure(
    detectors: Mapping[str, Detector], settings: DetectionSettings, scene: BenchmarkScene, rounds: int, warmup: int
) -> dict[str, Runs]:
    """Runs every engine once in every round, so that what else happens on the machine meets all alike.

    Args:
        detectors: the engines by name.
        settings: the thresholds.
        scene: the cloud; each run begins with it as a message.
        rounds: measured rounds.
        warmup: rounds before those.
    """
    message = scene.message()
    runs = {name: Runs() for name in detectors}
    for number in range(warmup + rounds):
        for name, detector in detectors.items():
            start = time.perf_counter()
            cloud = decode(message)
            decode_ms = (time.perf_counter() - start) * 1e3
            found = detector(cloud.xyz, settings)
            if number >= warmup:
                runs[name].add(decode_ms, found)
    return runs
