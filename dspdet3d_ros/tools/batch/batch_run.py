"""Detection in many cloud files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.system import usable_cores
from dspdet3d_ros.tools.batch.job import Job
from dspdet3d_ros.tools.batch.records import Records
from dspdet3d_ros.tools.batch.workers import Workers


@dataclass(frozen=True)
class ProcessShare:
    """The share of this process, if torchrun started several.

    Attributes:
        rank: number of this process.
        count: number of processes, on all machines.
        local_rank: number of this process on its machine.
        local_count: number of processes on its machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1

    @classmethod
    def of_environment(cls) -> ProcessShare:
        """The share that torchrun's environment variables describe.

        Raises:
            InputError: they are no numbers that fit.
        """
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        if not all(name in os.environ for name in names[:2]):
            return cls()
        try:
            rank, count, local_rank, local_count = (int(os.environ.get(name, "0")) for name in names)
        except ValueError:
            raise InputError("RANK, WORLD_SIZE: expected whole numbers, as torchrun sets them; unset them") from None
        if not 0 <= rank < count or local_rank < 0:
            raise InputError(f"RANK: expected 0 to {count - 1}, got {rank}; unset RANK and WORLD_SIZE")
        return cls(rank, count, local_rank, max(local_count, 1))

    def threads(self, wanted: int | None, workers: int) -> int:
        """CPU threads of each of `workers` processes of this process: `wanted`, or its part of the cores."""
        return wanted or max(1, usable_cores() // (workers * self.local_count))

    def device(self, wanted: str) -> str:
        """The GPU of this process's number, if any GPU is wanted and there are several processes; else `wanted`."""
        if self.count == 1 or wanted not in ("auto", "cuda"):
            return wanted
        import torch

        gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return f"cuda:{self.local_rank % gpus}" if gpus else wanted


@dataclass(frozen=True)
class BatchOutcome:
    """Result of a run.

    Attributes:
        done: clouds of this process that have a result now, those of earlier runs included.
        skipped: those of earlier runs.
        boxes: number of boxes in them.
        doubtful: number of them with doubts.
        errors: why clouds have no result: clouds of all processes if the results are joined, else those of this one.
        joined: the file with the results of all processes; None if other processes are not done.
        missing: number of clouds of other processes that are not done.
    """

    done: int
    skipped: int
    boxes: int
    doubtful: int
    errors: tuple[str, ...]
    joined: Path | None
    missing: int


def run(
    job: Job, paths: Sequence[Path], folder: Path, workers: int, threads: int | None, share: ProcessShare
) -> BatchOutcome:
    """Detects objects in files and writes the results into a folder; results of an earlier run are kept.

    Args:
        job: what to do with each file.
        paths: all files, the same in each process.
        folder: for the results.
        workers: number of processes that this process starts.
        threads: CPU threads of each; None divides the cores among them.
        share: the share of this process.

    Raises:
        InputError: the model cannot be used, the folder cannot be written, or it has results of other settings.
    """
    from tqdm import tqdm

    own = paths[share.rank :: share.count]
    records = Records(folder, share.rank)
    try:
        before = {path for path, record in records.of(own).items() if "error" not in record}
        todo = [path for path in own if path not in before]
        count = max(1, min(workers, len(todo)))
        own_job = replace(job, device=share.device(job.device))
        with Workers(own_job, count, share.threads(threads, count)) as pool:
            records.check_settings(pool.description)
            for path, record in tqdm(pool.results(todo), total=len(todo), desc="detect", unit="cloud", disable=None):
                records.add(path, record)
        return _outcome(records, paths, own, len(before))
    finally:
        records.close()


def _outcome(records: Records, paths: Sequence[Path], own: Sequence[Path], skipped: int) -> BatchOutcome:
    results = records.of(paths)
    missing = [path for path in paths if path not in results]
    joined = None if missing else records.join(paths, results)
    mine: list[dict[str, Any]] = [results[path] for path in own if path in results]
    good = [record for record in mine if "error" not in record]
    judged = mine if missing else [results[path] for path in paths]
    return BatchOutcome(
        done=len(good),
        skipped=skipped,
        boxes=sum(len(record["detections"]) for record in good),
        doubtful=sum(bool(record["doubts"]) for record in good),
        errors=tuple(str(record["error"]) for record in judged if "error" in record),
        joined=joined,
        missing=len(missing),
    )
