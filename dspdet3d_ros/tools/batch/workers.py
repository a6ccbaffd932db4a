"""Processes that compute results of files. If one of them dies, only its file is affected, and the others are done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from dspdet3d_ros.errors import InputError, one_line

# Seconds that a process may take to end after its last file.
_END_S = 10.0


class LoadedWork(Protocol):
    """A job that is ready to compute."""

    def description(self) -> dict[str, Any]:
        """All settings on which the results depend, as JSON values."""

    def record(self, path: Path) -> dict[str, Any]:
        """The result of a file, as JSON values.

        Raises:
            InputError: the file cannot be used.
        """


class Work(Protocol):
    """A job that is sent to a process."""

    def load(self) -> LoadedWork:
        """Loads what all files need, such as the model.

        Raises:
            InputError: it cannot be loaded.
        """


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    path: Path | None = None


class Workers:
    """Processes that have loaded a job; used as a context, at the end of which they have ended.

    If the process that starts them dies, they end as well.

    Args:
        job: the job.
        count: number of processes.
        threads: CPU threads of each; None keeps torch's choice.

    Attributes:
        description: see `LoadedWork.description`.

    Raises:
        InputError: the job cannot be loaded.
    """

    def __init__(self, job: Work, count: int, threads: int | None) -> None:
        # Forked processes could not use threads or CUDA, which this process may have used.
        self._context = multiprocessing.get_context("spawn")
        self._job, self._threads = job, threads
        self._workers: list[_Worker] = []
        self.description: dict[str, Any] = {}
        try:
            self._workers = [self._start() for _ in range(count)]
            for worker in self._workers:
                self.description = _first_answer(worker)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def results(
        self, paths: Sequence[Path], retries: int = 0, died: Callable[[str], None] = lambda reason: None
    ) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Each file with its record, or with the record {"error": why there is none}, as they are done.

        Args:
            paths: the files.
            retries: how often a file whose process has died is tried again.
            died: is called with the reason before a file is tried again.
        """
        waiting = list(reversed(paths))
        deaths: Counter[Path] = Counter()
        for worker in self._workers:
            _give(worker, waiting)
        while busy := [worker for worker in self._workers if worker.path is not None]:
            # A process that has died closes its end of the pipe, so the pipe is ready as well.
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                path = worker.path
                assert path is not None
                worker.path, retried = None, False
                try:
                    record = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    deaths[path] += 1
                    reason, retried = _reason_of_death(worker.process, path), deaths[path] <= retries
                    record = {"error": reason}
                if retried:
                    died(reason)
                    waiting.append(path)
                else:
                    yield path, record
                if waiting and not worker.process.is_alive():
                    self._replace(worker)
                _give(worker, waiting)

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            worker.pipe.close()
            if worker.path is not None:
                worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_END_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()

    def _start(self) -> _Worker:
        own, other = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(other, self._job, self._threads), daemon=True)
        process.start()
        other.close()
        return _Worker(process, own)

    def _replace(self, worker: _Worker) -> None:
        worker.pipe.close()
        fresh = self._start()
        worker.process, worker.pipe = fresh.process, fresh.pipe
        _first_answer(worker)


def _give(worker: _Worker, waiting: list[Path]) -> None:
    worker.path = waiting.pop() if waiting else None
    if worker.path is not None:
        # If the process has died in this moment, no answer comes, which `results` notices.
        with suppress(OSError):
            worker.pipe.send(worker.path)


def _first_answer(worker: _Worker) -> dict[str, Any]:
    try:
        answer = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        reason = _reason_of_death(worker.process)
        raise InputError(f"{reason} while the model was loaded; start fewer with --workers") from None
    if "error" in answer:
        raise InputError(answer["error"])
    return answer


def _reason_of_death(process: BaseProcess, path: Path | None = None) -> str:
    code = process.exitcode or 0
    how = f"status {code}" if code >= 0 else signal.Signals(-code).name
    lead = "" if path is None else f"{path}: "
    memory = "; SIGKILL may mean that memory was short: start fewer with --workers" if code == -signal.SIGKILL else ""
    return f"{lead}the process that computes ended with {how}{memory}"


def _end_with_parent() -> None:
    """Ends this process when the one that started it has died: nobody would take the results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _serve(pipe: Connection, job: Work, threads: int | None) -> None:
    """A process: receives paths and sends records, until the pipe is closed."""
    # After Ctrl-C, which reaches all processes, the first process closes the pipes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Temporary files are removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        loaded = job.load()
    except InputError as error:
        pipe.send({"error": str(error)})
        return
    try:
        pipe.send(loaded.description())
        while True:
            path = pipe.recv()
            try:
                record = loaded.record(path)
            except InputError as error:
                record = {"error": str(error)}
            except Exception as error:
                # Too little memory, or a fault of ours: the other files are computed.
                record = {"error": f"{path}: {one_line(error)}"}
            pipe.send(record)
    except (EOFError, OSError):
        # The first process has no more files, or has ended.
        return
