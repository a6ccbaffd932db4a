"""Timing of single calls, and statistics of repeated measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from dspdet3d_ros.tools.benchmark.machine import synchronise


def summary(samples: Sequence[float]) -> dict[str, float]:
    """Median, 90th percentile (`p90`) and minimum (`least`) of samples."""
    values = np.asarray(samples, np.float64)
    return {
        "median": float(np.median(values)),
        "p90": float(np.percentile(values, 90)),
        "least": float(values.min()),
    }


def milliseconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall-clock milliseconds of one call, including its work on a GPU."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return (time.perf_counter() - start) * 1e3
