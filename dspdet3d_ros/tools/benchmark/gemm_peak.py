"""What this machine's own `torch.mm` reaches on the products that a sparse convolution consists of."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from dspdet3d_ros.sparse.parallel import for_chunks
from dspdet3d_ros.tools.benchmark.machine import synchronise

#: Channels of the convolutions that do nearly all of the arithmetic.
CHANNELS = (64, 128)
_TALL_ROWS = 1 << 17
#: Rows of a chunk on the CPU: what is gathered for it fits a core's L2 cache at the least, its L3 cache at the most.
_CHUNK_ROWS = (128, 512, 2048)
_OFFSETS = 27
_REPEATS = 3
_SECONDS = 0.05


@dataclass(frozen=True)
class Product:
    """A timed shape: (rows, inner) by (inner, columns).

    Attributes:
        kind: "tall", one product on all threads; "chunks", as many products side by side as there are threads.
        gflops: 10⁹ floating point operations a second, the best of several repeats, all threads together.
    """

    kind: str
    rows: int
    inner: int
    columns: int
    gflops: float


def products(channels: int, device: torch.device, dtype: torch.dtype = torch.float32) -> list[Product]:
    """The timed shapes of a convolution of `channels` to `channels`: one kernel offset, and all 27 gathered."""
    found = [_tall(_TALL_ROWS, channels, channels, device, dtype)]
    if device.type == "cuda":
        return [*found, _tall(_TALL_ROWS, _OFFSETS * channels, channels, device, dtype)]
    return [*found, *(_chunks(rows, _OFFSETS * channels, channels, dtype) for rows in _CHUNK_ROWS)]


def ceilings(device: torch.device, dtype: torch.dtype = torch.float32) -> dict[int, dict[str, Any]]:
    """For each channel count all products, and the `gflops` of the fastest: the ceiling."""
    found = {channels: products(channels, device, dtype) for channels in CHANNELS}
    return {
        channels: {"gflops": max(p.gflops for p in timed), "products": [vars(p) for p in timed]}
        for channels, timed in found.items()
    }


def _tall(rows: int, inner: int, columns: int, device: torch.device, dtype: torch.dtype) -> Product:
    a = torch.rand(rows, inner, device=device, dtype=dtype)
    b = torch.rand(inner, columns, device=device, dtype=dtype)
    out = torch.empty(rows, columns, device=device, dtype=dtype)

    def work(count: int) -> None:
        for _ in range(count):
            torch.mm(a, b, out=out)
        synchronise(device)

    return Product("tall", rows, inner, columns, _gflops(work, 2.0 * rows * inner * columns))


def _chunks(rows: int, inner: int, columns: int, dtype: torch.dtype) -> Product:
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

    return Product("chunks", rows, inner, columns, _gflops(work, 2.0 * rows * inner * columns * threads))


def _gflops(work: Callable[[int], None], operations: float) -> float:
    """The best rate of `work(count)`, which does `operations` floating point operations `count` times."""
    count = max(1, round(_SECONDS / _seconds(work, 1)))
    return operations * count / min(_seconds(work, count) for _ in range(_REPEATS)) / 1e9


def _seconds(work: Callable[[int], None], count: int) -> float:
    start = time.perf_counter()
    work(count)
    return time.perf_counter() - start
