"""Tile sizes of the convolution kernel."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch


@dataclass(frozen=True)
class Configuration:
    """Tile sizes of one launch.

    Attributes:
        tile: output rows of a tile, a divisor of `plan.TABLE_ROWS`.
        block_in: input channels of one step, at the most.
        warps, stages: see Triton.
    """

    tile: int
    block_in: int
    warps: int
    stages: int


#: A feature's place comes from its row, its row from the offset: that chain takes stages, so that 4 to 6 of them hold
#: the operands twice and 7 three times.
HALF = (
    Configuration(32, 64, 4, 4),
    Configuration(64, 32, 4, 7),
    Configuration(64, 64, 4, 4),
    Configuration(64, 64, 4, 7),
    Configuration(128, 32, 8, 7),
    Configuration(128, 64, 8, 4),
    Configuration(128, 64, 8, 7),
)
#: Exact float32 products run outside the tensor cores; smaller tiles keep the sums in registers.
SINGLE = (
    Configuration(32, 32, 4, 3),
    Configuration(32, 32, 8, 4),
    Configuration(64, 16, 8, 3),
    Configuration(64, 32, 8, 4),
)
LARGEST_BLOCK_OUT = 128
#: The least that tl.dot multiplies.
_SMALLEST_BLOCK = 16


def block(channels: int, most: int) -> int:
    """The smallest block that holds the channels, or `most`."""
    return min(most, max(_SMALLEST_BLOCK, 1 << (channels - 1).bit_length()))


def blocks(configuration: Configuration, c_in: int, c_out: int) -> dict[str, int]:
    """The kernel's constants TILE, BLOCK_IN and BLOCK_OUT for these channels."""
    return {
        "TILE": configuration.tile,
        "BLOCK_IN": block(c_in, configuration.block_in),
        "BLOCK_OUT": block(c_out, LARGEST_BLOCK_OUT),
    }


def candidates(c_in: int, c_out: int, dtype: torch.dtype) -> list[Configuration]:
    """The configurations worth a try for these channels and this type of the operands."""
    chosen: dict[tuple, Configuration] = {}
    for configuration in HALF if dtype == torch.float16 else SINGLE:
        sizes = blocks(configuration, c_in, c_out)
        # Where a block is cut to the channels, two configurations may be equal.
        chosen.setdefault((*sizes.values(), configuration.warps, configuration.stages), configuration)
    return list(chosen.values())


def tuning_key(c_in: int, c_out: int, volume: int, n_out: int, dtype: torch.dtype) -> tuple:
    """The key of a choice; numbers of rows within a factor of two share one."""
    return c_in, c_out, volume, n_out.bit_length(), dtype


class Tuner:
    """Remembers the fastest configuration of each key.

    Args:
        measure: milliseconds of one call; None keeps the first candidate and measures nothing.
        unfit: exceptions of a launch whose configuration needs more than the device has.
    """

    def __init__(
        self, measure: Callable[[Callable[[], None]], float] | None, unfit: tuple[type[Exception], ...] = ()
    ) -> None:
        self._measure = measure
        self._unfit = unfit
        self._chosen: dict[Hashable, Configuration] = {}

    def choose(
        self, key: Hashable, configurations: list[Configuration], launch: Callable[[Configuration], None]
    ) -> Configuration:
        """The key's configuration; the first time every candidate is launched.

        Raises:
            RuntimeError: no candidate runs on this device.
        """
        if key not in self._chosen:
            first = configurations[0]
            self._chosen[key] = first if self._measure is None else self._fastest(configurations, launch, self._measure)
        return self._chosen[key]

    def _fastest(
        self,
        configurations: list[Configuration],
        launch: Callable[[Configuration], None],
        measure: Callable[[Callable[[], None]], float],
    ) -> Configuration:
        times: dict[Configuration, float] = {}
        for configuration in configurations:
            try:
                times[configuration] = measure(partial(launch, configuration))
            except self._unfit:
                continue
        if not times:
            raise RuntimeError("none of the convolution kernel's configurations fits this GPU; use backend torch")
        return min(times, key=times.__getitem__)


#: Calls in a row that are timed together, and the clock cycles for which the device is busy before: longer than the
#: host takes to launch them. Otherwise a short kernel would wait for its launch, and the launch would be timed.
_CALLS = 10
_BUSY_CYCLES = 2_000_000


def measure_on_cuda(device: torch.device, call: Callable[[], Any], repeats: int = 5) -> float:
    """Milliseconds of a call on a CUDA device: the least of a few, after one that compiles."""
    # Events belong to the current device.
    with torch.cuda.device(device):
        call()
        return min(_milliseconds(call) for _ in range(repeats))


def _milliseconds(call: Callable[[], Any]) -> float:
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda._sleep(_BUSY_CYCLES)
    start.record()
    for _ in range(_CALLS):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / _CALLS
