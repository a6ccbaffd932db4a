"""Processes that detect objects in files. If one of them dies, its file is an error and another process continues."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from dspdet3d_ros.errors import InputError, one_line
from dspdet3d_ros.tools.batch.job import Job

# Seconds that a process may take to end after its last file.
_END_S = 10.0


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    path: Path | None = None


class Workers:
    """Processes with the model of a job; used as a context, at the end of which they have ended.

    Args:
        job: the job.
        count: number of processes.
        threads: CPU threads of each; None keeps torch's choice.

    Attributes:
        description: see `LoadedJob.description`.

    Raises:
        InputError: the model cannot be used.
    """

    def __init__(self, job: Job, count: int, threads: int | None) -> None:
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

    def results(self, paths: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Each file with its record, or with the record {"error": why there is none}, as they are done."""
        waiting = list(reversed(paths))
        for worker in self._workers:
            _give(worker, waiting)
        while busy := [worker for worker in self._workers if worker.path is not None]:
            # A process that has died closes its end of the pipe, so the pipe is ready as well.
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                path = worker.path
                assert path is not None
                try:
                    record = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    record = {"error": _reason_of_death(worker.process, path)}
                worker.path = None
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


def _serve(pipe: Connection, job: Job, threads: int | None) -> None:
    """A process: receives paths and sends records, until the pipe is closed."""
    # After Ctrl-C, which reaches all processes, the first process closes the pipes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
