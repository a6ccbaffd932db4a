"""Figures of a long run: percentiles, the slope of memory, and the plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.output_files import new_figure, write_figure
from dspdet3d_ros.ros.tools.endurance.process_sample import ProcessSample

# The first third of a run fills caches and allocators; memory is judged after it.
WARM_UP_SHARE = 1 / 3
# The rest is divided into two halves of so many stretches of time each, whose medians are not correlated as
# neighbouring samples are.
STRETCHES = 10
# Standard errors that are significant: Student's t for 95 % and STRETCHES - 2 degrees of freedom.
STANDARD_ERRORS = 2.3
# A run must be this long for its memory to be judged: below, warm-up is most of it.
JUDGED_MINUTES = 5.0


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """Count, p50, p99 and greatest."""
    if not milliseconds:
        return {"count": 0}
    p50, p99 = np.percentile(milliseconds, (50, 99))
    return {"count": len(milliseconds), "p50": float(p50), "p99": float(p99), "greatest": float(max(milliseconds))}


def memory(samples: Sequence[ProcessSample]) -> dict[str, Any]:
    """The straight lines through resident memory after warm-up and through each half of it, and whether it grows.

    A line is that of least squares through the medians of equal stretches of time, and the uncertainty of its slope
    `STANDARD_ERRORS` times the standard error that the medians' scatter about the line gives. Memory grows where the
    intervals around all three slopes lie above zero: a leak continues, while an allocator that once needed more makes a
    step in one of the halves. A run can detect slopes
    above its uncertainty; a few samples have no slope.
    """
    start = samples[0].time_s + WARM_UP_SHARE * (samples[-1].time_s - samples[0].time_s)
    kept = [s for s in samples if s.time_s >= start]
    hours = np.array([s.time_s - start for s in kept]) / 3600
    resident = np.array([s.resident_mb for s in kept])
    values = {"median_mb": float(np.median(resident)), "greatest_mb": max(s.resident_mb for s in samples)}
    if len(kept) < 4 * STRETCHES:
        return {**values, "within_noise": True}
    early = hours < hours[-1] / 2
    whole, *halves = (
        _slope(hours[part], resident[part], stretches)
        for part, stretches in ((slice(None), 2 * STRETCHES), (early, STRETCHES), (~early, STRETCHES))
    )
    return {
        **values,
        "slope_mb_per_hour": whole[0],
        "slope_uncertainty_mb_per_hour": whole[1],
        "halves_mb_per_hour": halves,
        "growth_mb": whole[0] * float(hours[-1]),
        "within_noise": any(slope - uncertainty <= 0 for slope, uncertainty in (whole, *halves)),
    }


def _slope(times: np.ndarray, values: np.ndarray, stretches: int) -> tuple[float, float]:
    """Slope and its uncertainty; see `memory`."""
    passed = (times - times[0]) / (times[-1] - times[0])
    stretch = np.minimum((passed * stretches).astype(int), stretches - 1)
    present = np.unique(stretch)
    x = np.array([times[stretch == number].mean() for number in present])
    y = np.array([np.median(values[stretch == number]) for number in present])
    slope, intercept = np.polyfit(x, y, 1)
    scatter = np.sum((y - slope * x - intercept) ** 2) / max(len(x) - 2, 1)
    return float(slope), float(STANDARD_ERRORS * np.sqrt(scatter / np.sum((x - x.mean()) ** 2)))


def plot(path: Path, samples: Sequence[ProcessSample], latencies: Sequence[tuple[float, float]], title: str) -> None:
    """Draws memory above, and the time that each service call took below.

    Args:
        path: the .png.
        samples: of the node's process.
        latencies: `time.monotonic()` and milliseconds of each call.
        title: above the plot.

    Raises:
        InputError: matplotlib is missing or the file cannot be written.
    """
    start = samples[0].time_s
    figure = new_figure(9, 6, dpi=110, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot([(s.time_s - start) / 60 for s in samples], [s.resident_mb for s in samples], linewidth=1)
    above.set(ylabel="resident memory [MB]", title=title)
    above.set_ylim(bottom=0)
    below.plot([(t - start) / 60 for t, _ in latencies], [ms for _, ms in latencies], ".", markersize=2)
    below.set(xlabel="minutes", ylabel="service calls [ms]", yscale="log")
    write_figure(path, figure)


def report(values: dict[str, Any], path: Path) -> int:
    """Prints the figures and the checks; 1 if one of them failed."""
    for name, value in values.items():
        if name != "checks":
            print(f"{name}: {value}")
    for name, passed in values["checks"].items():
        print(f"{'passed' if passed else 'FAILED'}: {name}")
    print(f"written: {path} and the plot next to it")
    return 0 if all(values["checks"].values()) else 1
