"""Many bags in processes: what one process leaves, another one takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dspdet3d_ros.tools.batch.batch_run import ProcessShare
from dspdet3d_ros.tools.batch.job import Job
from dspdet3d_ros.tools.batch.workers import Workers
from dspdet3d_ros.tools.replay.bag_job import ATTEMPTS, DONE, ERROR, FAILED, TAKEN, TEXT, BagJob
from dspdet3d_ros.tools.replay.claims import clock_ns
from dspdet3d_ros.tools.replay.replay_settings import ReplaySettings

#: Seconds between two looks at the bags of other processes.
_POLL_S = 1.0


@dataclass(frozen=True)
class BagOutcome:
    """The outcome of a bag.

    Attributes:
        bag: its path.
        text: the summary, if this process has replayed it.
        error: why it has no result, if that is so.
        known: whether the result or error was there before: of another process, or of an earlier run.
    """

    bag: Path
    text: str = ""
    error: str = ""
    known: bool = False


def replay_bags(
    model: Job,
    settings: ReplaySettings,
    bags: Sequence[tuple[Path, str]],
    folder: Path,
    workers: int,
    threads: int | None,
    share: ProcessShare,
    died: Callable[[str], None],
) -> Iterator[BagOutcome]:
    """Replays bags in child processes, first those of this process's share, then what other processes leave.

    It ends when each bag has a result or an error, of whatever process. A bag whose child process dies is tried once
    more.

    Args:
        model: the model with its thresholds.
        settings: of the replay.
        bags: all bags with the names of their folders of results, the same in each process.
        folder: of all results.
        workers: number of child processes.
        threads: CPU threads of each; None divides the cores among them.
        share: the share of this process.
        died: takes the reason why a child process has died before its bag is tried again.

    Raises:
        InputError: the model cannot be used, or the folder cannot be written.
    """
    own = [bag for bag, _ in bags[share.rank :: share.count]]
    # The bag that another process takes last is looked at first.
    waiting = own + [bag for bag, _ in reversed(bags) if bag not in own]
    alone = share.count == 1
    job = BagJob(model, settings, folder, dict(bags), frozenset(own), alone, clock_ns(folder))
    count = max(1, min(workers, len(own)))
    with Workers(job, count, share.threads(threads, count)) as pool:
        while waiting:
            taken = []
            for bag, record in pool.results(waiting, ATTEMPTS - 1, died):
                if TAKEN not in record:
                    yield BagOutcome(
                        bag,
                        record.get(TEXT, ""),
                        record.get(ERROR, "") or record.get(FAILED, ""),
                        DONE in record or FAILED in record,
                    )
                elif alone:
                    yield BagOutcome(bag, error=f"{bag}: another process writes its results into {folder}; wait for it")
                else:
                    taken.append(bag)
            waiting = taken
            if waiting:
                time.sleep(_POLL_S)
