"""Figures of a long run: percentiles, the slope of memory, and the plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.endurance.process import Sample

# The first third of a run fills caches and allocators; memory is judged after it.
WARM_UP_SHARE = 1 / 3
# Growth that is no growth: this much, or less than the scatter of the samples explains.
NOISE_MB = 16.0
NOISE_DEVIATIONS = 2.0
# A run must be this long for its memory to be judged: below, warm-up is most of it.
JUDGED_MINUTES = 5.0


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Count, p50, p99 and greatest."""
    if not milliseconds:
        return {"count": 0}
    p50, p99 = np.percentile(milliseconds, (50, 99))
    return {"count": len(milliseconds), "p50": float(p50), "p99": float(p99), "greatest": float(max(milliseconds))}


def memory(samples: Sequence[Sample]) -> dict[str, Any]:
    """The straight line through resident memory after warm-up, and whether its rise is within noise.

    Noise is `NOISE_MB` or `NOISE_DEVIATIONS` standard deviations of the samples about the line, whichever is more.
    """
    start = samples[0].time_s + WARM_UP_SHARE * (samples[-1].time_s - samples[0].time_s)
    kept = [s for s in samples if s.time_s >= start]
    seconds = np.array([s.time_s - start for s in kept])
    resident = np.array([s.resident_mb for s in kept])
    slope, intercept = np.polyfit(seconds, resident, 1) if len(kept) > 2 else (0.0, resident.mean())
    deviation = float(np.std(resident - slope * seconds - intercept))
    growth = float(slope * seconds[-1])
    return {
        "median_mb": float(np.median(resident)),
        "greatest_mb": max(s.resident_mb for s in samples),
        "slope_mb_per_hour": float(slope * 3600),
        "growth_mb": growth,
        "noise_mb": max(NOISE_MB, NOISE_DEVIATIONS * deviation),
        "within_noise": growth <= max(NOISE_MB, NOISE_DEVIATIONS * deviation),
    }


def plot(path: Path, samples: Sequence[Sample], latencies: Sequence[tuple[float, float]], title: str) -> None:
    """Draws memory above, and the time that each service call took below.

    Args:
        path: the .png.
        samples: of the node's process.
        latencies: `time.monotonic()` and milliseconds of each call.
        title: above the plot.

    Raises:
        InputError: matplotlib is missing.
    """
    try:
        import matplotlib
    except ImportError:
        raise InputError(f"{path}: drawing it needs the Python package matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    start = samples[0].time_s
    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(9, 6), layout="constrained")
    above.plot([(s.time_s - start) / 60 for s in samples], [s.resident_mb for s in samples], linewidth=1)
    above.set(ylabel="resident memory [MB]", title=title)
    above.set_ylim(bottom=0)
    below.plot([(t - start) / 60 for t, _ in latencies], [ms for _, ms in latencies], ".", markersize=2)
    below.set(xlabel="minutes", ylabel="service calls [ms]", yscale="log")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def tell(values: dict[str, Any], path: Path) -> int:
    """Prints the figures and the checks; 1 where one of them failed."""
    for name, value in values.items():
        if name != "checks":
            print(f"{name}: {value}")
    for name, passed in values["checks"].items():
        print(f"{'passed' if passed else 'FAILED'}: {name}")
    print(f"written: {path} and the plot beside it")
    return 0 if all(values["checks"].values()) else 1
