"""The job of a process that replays bags."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dspdet3d_ros import __version__
from dspdet3d_ros.errors import InputError, one_line
from dspdet3d_ros.tools.batch.job import Job, LoadedJob
from dspdet3d_ros.tools.replay.bag_run import replay
from dspdet3d_ros.tools.replay.claims import Attempts, Claim, Claims
from dspdet3d_ros.tools.replay.output import BAG, LINES, SUMMARY
from dspdet3d_ros.tools.replay.replay_settings import ReplaySettings

#: So many processes may die on a bag in one run.
ATTEMPTS = 2
#: Keys of a record: the result as text; another process works on the bag; the bag is done, or has failed, already.
TEXT, ERROR, TAKEN, DONE, FAILED = "text", "error", "taken", "done", "failed"


@dataclass(frozen=True)
class BagJob:
    """Bags are replayed, each into its folder.

    Attributes:
        model: the model with its thresholds.
        settings: of the replay.
        folder: of all results.
        names: the folder in it for each bag.
        own: bags that no other process of the run has in its share.
        alone: whether no other process shares the folder. Else results of an earlier run are kept.
        started_ns: start of the run, see `clock_ns`.
    """

    model: Job
    settings: ReplaySettings
    folder: Path
    names: Mapping[Path, str]
    own: frozenset[Path]
    alone: bool
    started_ns: int

    def load(self) -> LoadedBagJob:
        """Loads the model.

        Raises:
            InputError: model, weights, device or engine cannot be used.
        """
        return LoadedBagJob(self, self.model.load(), Claims(self.folder, self.started_ns))


@dataclass(frozen=True)
class LoadedBagJob:
    """A job with its model.

    Attributes:
        job: the job.
        model: the model that it names.
        claims: shared by all processes.
    """

    job: BagJob
    model: LoadedJob
    claims: Claims

    def description(self) -> dict[str, Any]:
        """All settings on which the results depend, as JSON values."""
        settings = asdict(self.job.settings)
        del settings["resume"]
        described = {"version": __version__, **self.model.description(), **settings}
        # Tuples become lists, as in a file.
        return dict(json.loads(json.dumps(described)))

    def record(self, path: Path) -> dict[str, Any]:
        """Replays a bag, unless it is done or another process works on it.

        Returns:
            {"text": the summary}, {"error": why there is no result}, {"taken": True} if another process works on it,
            {"done": True} or {"failed": the error} if that was found out before.

        Raises:
            InputError: the folder of the results cannot be written.
        """
        name, job = self.job.names[path], self.job
        keep = job.settings.resume or not job.alone
        with self.claims.claim(name) as claim:
            if claim is Claim.TAKEN:
                return {TAKEN: True}
            conditions = {"settings": self.description(), "bag": _files_of(path)}
            if (claim is Claim.UNKNOWN and path not in job.own) or (keep and _is_done(job.folder / name, conditions)):
                return {DONE: True}
            attempts = self.claims.attempts(name)
            if attempts.error:
                return {FAILED: attempts.error}
            error = ""
            if attempts.count >= ATTEMPTS:
                error = f"{path}: {attempts.count} processes that replayed it have died"
            else:
                self.claims.set_attempts(name, Attempts(attempts.count + 1))
                try:
                    return {TEXT: self._replay(path, name, keep or attempts.count > 0, conditions)}
                except InputError as refusal:
                    # The errors of the bag itself begin with its path.
                    error = str(refusal) if str(refusal).startswith(f"{path}: ") else f"{path}: {refusal}"
                except Exception as fault:
                    # Too little memory, or a fault of ours: the other bags are replayed.
                    error = f"{path}: {one_line(fault)}"
            self.claims.set_attempts(name, Attempts(attempts.count, error))
            return {ERROR: error}

    def _replay(self, path: Path, name: str, resume: bool, conditions: dict[str, Any]) -> str:
        from dataclasses import replace

        from tqdm import tqdm

        folder = self.job.folder / name
        summary = replay(
            path,
            folder,
            self.model,
            replace(self.job.settings, resume=resume),
            conditions,
            lambda records, total: tqdm(records, path.name, total, disable=None, unit="message"),
        )
        self.claims.forget_attempts(name)
        return f"{summary.as_text()}\n  results in {folder}"


def _files_of(bag: Path) -> list[Any]:
    """Names, sizes and dates of the files of a bag."""
    try:
        files = sorted(bag.iterdir()) if bag.is_dir() else [bag]
        states = [(file.name, os.stat(file)) for file in files]
    except OSError:
        return []
    return [[name, state.st_size, state.st_mtime_ns] for name, state in states]


def _is_done(folder: Path, conditions: dict[str, Any]) -> bool:
    """Whether a folder has all results of a bag with these settings."""
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        same = summary["conditions"] == conditions
    except (OSError, KeyError, TypeError, ValueError):
        return False
    return bool(same and (folder / LINES).is_file() and (folder / BAG / "metadata.yaml").is_file())
