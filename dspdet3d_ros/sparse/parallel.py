"""Row chunks spread over threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

_pools: dict[int, ThreadPoolExecutor] = {}
_making = threading.Lock()


def _pool(threads: int) -> ThreadPoolExecutor:
    """As many workers, each running its torch operations on one thread."""
    with _making:
        if threads not in _pools:
            _pools[threads] = _new_pool(threads)
        return _pools[threads]


def _new_pool(threads: int) -> ThreadPoolExecutor:
    # The setting of a worker is also the initial one of threads that use torch later. So all workers start now, and the
    # setting is restored once; restoring it at each use could affect threads that start at the same time.
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="sparse", initializer=_use_one_thread)
    all_there = threading.Barrier(threads)
    try:
        list(pool.map(lambda _: all_there.wait(), range(threads)))
    except Exception:  # not enough threads or memory
        all_there.abort()
        pool.shutdown(wait=False)
        raise
    finally:
        torch.set_num_threads(before)
    return pool


def _use_one_thread() -> None:
    # Asked for first: a thread takes over the process's number when it first needs one, even after setting its own.
    torch.get_num_threads()
    torch.set_num_threads(1)


def worker_count() -> int:
    """The largest number of workers that `for_chunks` uses on the CPU now."""
    return torch.get_num_threads()


def for_chunks(n_rows: int, chunk_rows: int, work: Callable[[range], None], on_cpu: bool) -> None:
    """Calls `work(starts)` so that all chunk starts in `range(0, n_rows, chunk_rows)` are covered once.

    On the CPU there are as many workers as torch has threads, each running its operations on one thread: chunks that
    stay in a core's cache beat splitting every operation over all cores. `work` may keep one buffer per call.
    """
    workers = worker_count() if on_cpu else 1
    used = min(workers, -(-n_rows // chunk_rows))
    if used <= 1:
        work(range(0, n_rows, chunk_rows))
        return
    inference = torch.is_inference_mode_enabled()

    def run(worker: int) -> None:
        # Gradient modes belong to a thread: the workers take over the caller's.
        with torch.inference_mode() if inference else torch.no_grad():
            work(range(worker * chunk_rows, n_rows, used * chunk_rows))

    list(_pool(workers).map(run, range(used)))
