"""Row chunks spread over threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

_pools: dict[int, ThreadPoolExecutor] = {}


def _pool(threads: int) -> ThreadPoolExecutor:
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(
            threads, thread_name_prefix="sparse", initializer=lambda: torch.set_num_threads(1)
        )
    return _pools[threads]


@contextmanager
def _one_thread_each(threads: int) -> Iterator[None]:
    """Within it every torch operation runs on one thread; the setting is process-wide in MKL, so it is put back."""
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def for_chunks(n_rows: int, chunk_rows: int, work: Callable[[int, range], None], on_cpu: bool) -> None:
    """Calls `work(worker, starts)` so that all chunk starts in `range(0, n_rows, chunk_rows)` are covered once.

    On the CPU there are as many workers as torch has threads, each running its operations on one thread: chunks that
    stay in a core's cache beat splitting every operation over all cores. `work` may keep one buffer per call.
    """
    threads = torch.get_num_threads() if on_cpu else 1
    threads = min(threads, -(-n_rows // chunk_rows))
    if threads <= 1:
        work(0, range(0, n_rows, chunk_rows))
        return
    inference = torch.is_inference_mode_enabled()

    def run(worker: int) -> None:
        # Gradient modes belong to a thread: the workers take over the caller's.
        with torch.inference_mode() if inference else torch.no_grad():
            work(worker, range(worker * chunk_rows, n_rows, threads * chunk_rows))

    with _one_thread_each(torch.get_num_threads()):
        list(_pool(threads).map(run, range(threads)))


def worker_count(on_cpu: bool) -> int:
    """The largest number of workers that `for_chunks` uses now."""
    return torch.get_num_threads() if on_cpu else 1
