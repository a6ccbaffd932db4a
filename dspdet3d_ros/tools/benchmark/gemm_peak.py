"""GEMM peak: the highest rate that `torch.mm` reaches here on the matrix products of a sparse convolution."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from dspdet3d_ros.sparse.parallel import for_chunks
from dspdet3d_ros.tools.benchmark.machine import synchronise

#: Channels of the convolutions with nearly all of the arithmetic.
CHANNELS = (64, 128)
TALL_ROWS = 1 << 17
#: Rows of a chunk on the CPU. The gathered input of the smallest fits into the L2 cache of a core, of the largest into
#: its L3 cache.
_CHUNK_ROWS = (128, 512, 2048)
_OFFSETS = 27
_REPEATS = 3
MEASURED_SECONDS = 0.05


@dataclass(frozen=True)
class GemmTiming:
    """Rate of one matrix product, (rows, inner) by (inner, columns).

    Attributes:
        kind: "tall" is one product on all threads. "chunks" is one product per thread, all at the same time.
        rows, inner, columns: shape.
        gflops: 10⁹ floating point operations per second of all threads together; best of several repeats.
    """

    kind: str
    rows: int
    inner: int
    columns: int
    gflops: float


def gemm_timings(channels: int, device: torch.device, dtype: torch.dtype = torch.float32) -> list[GemmTiming]:
    """Rates for a convolution of `channels` to `channels`: for one kernel offset and for all 27 gathered offsets."""
    timings = [_tall(TALL_ROWS, channels, channels, device, dtype)]
    if device.type == "cuda":
        return [*timings, _tall(TALL_ROWS, _OFFSETS * channels, channels, device, dtype)]
    return [*timings, *(_chunks(rows, _OFFSETS * channels, channels, dtype) for rows in _CHUNK_ROWS)]


def gemm_peaks(device: torch.device, dtype: torch.dtype = torch.float32) -> dict[int, dict[str, Any]]:
    """For each number of channels the GEMM peak (`gflops`) and all timed shapes (`products`)."""
    timings = {channels: gemm_timings(channels, device, dtype) for channels in CHANNELS}
    return {
        channels: {"gflops": max(t.gflops for t in timed), "products": [vars(t) for t in timed]}
        for channels, timed in timings.items()
    }


def _tall(rows: int, inner: int, columns: int, device: torch.device, dtype: torch.dtype) -> GemmTiming:
    a = torch.rand(rows, inner, device=device, dtype=dtype)
    b = torch.rand(inner, columns, device=device, dtype=dtype)
    out = torch.empty(rows, columns, device=device, dtype=dtype)

    def work(count: int) -> None:
        for _ in range(count):
            torch.mm(a, b, out=out)
        synchronise(device)

    return GemmTiming("tall", rows, inner, columns, _gflops(work, 2.0 * rows * inner * columns))


def _chunks(rows: int, inner: int, columns: int, dtype: torch.dtype) -> GemmTiming:
    threads = torch.get_num_threads()
    operands = [(torch.rand(rows, inner, dtype=dtype), torch.rand(rows, columns, dtype=dtype)) for _ in range(threads)]
    b = torch.rand(inner, columns, dtype=dtype)

    def work(count: int) -> None:
        def multiply(workers: range) -> None:
            for worker in workers:
                a, out = operands[worker]
                for _ in range(count):
                    torch.mm(a, b, out=out)

        for_chunks(threads, 1, multiply, on_cpu=True)

    return GemmTiming("chunks", rows, inner, columns, _gflops(work, 2.0 * rows * inner * columns * threads))


def _gflops(work: Callable[[int], None], operations: float) -> float:
    """The best rate of `work(count)`, which does `operations` floating point operations `count` times."""
    # The first product of a shape loads libraries and kernels.
    work(1)
    count = max(1, round(MEASURED_SECONDS / _seconds(work, 1)))
    return operations * count / min(_seconds(work, count) for _ in range(_REPEATS)) / 1e9


def _seconds(work: Callable[[int], None], count: int) -> float:
    start = time.perf_counter()
    work(count)
    return time.perf_counter() - start
