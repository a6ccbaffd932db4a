"""Everything that is fuzzed, by name: the cases, what to do with one, and its share of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cloud_files
import clouds
import convolutions
import labels
import other_files
import parameters
import stored
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy
from outcome import Tally


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        cases: makes them.
        run: judges one.
        share: of all cases of a run.
    """

    cases: SearchStrategy
    run: Callable
    share: float


def targets(folder: Path) -> dict[str, Target]:
    """All of them; files are written into a folder."""
    found = {
        "PointCloud2": Target(clouds.MESSAGES, clouds.run, 0.18),
        "cloud files": Target(cloud_files.strategy(folder), cloud_files.run, 0.2),
        "other cloud files": Target(other_files.strategy(folder), other_files.run, 0.03),
        "parameters": Target(parameters.CASES, parameters.run, 0.15),
        "checkpoints": Target(stored.CHECKPOINTS, _in(folder, stored.checkpoint), 0.08),
        "plain pickles": Target(stored.PICKLES, _in(folder, stored.plain_pickle), 0.09),
        "mmdet3d infos": Target(stored.INFOS, _in(folder, stored.infos), 0.06),
        "boxes.json": Target(stored.INDEXES, _in(folder, stored.index), 0.04),
        "labels of tools": Target(labels.CASES, _in(folder, labels.run), 0.03),
        "results": Target(labels.RESULTS, _in(folder, labels.results), 0.01),
        "ScanNet": Target(stored.SCANNET, _in(folder, stored.scannet), 0.04),
        "TO-SCENE": Target(stored.SCANS, _in(folder, stored.toscene), 0.04),
    }
    if convolutions.available():
        found["native convolutions"] = Target(convolutions.CASES, convolutions.run, 0.05)
    return found


def _in(folder: Path, run: Callable) -> Callable:
    return lambda tally, case: run(tally, folder, case)


def fuzz(target: Target, cases: int, start: int) -> Tally:
    """Runs so many cases of a target, or until one fails, which hypothesis then shrinks and shows.

    Raises:
        Exception: what the smallest failing case raises.
    """
    tally = Tally()
    options = settings(
        max_examples=max(1, cases),
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )

    def case(case: object) -> None:
        target.run(tally, case)

    seed(start)(options(given(target.cases)(case)))()
    return tally
