"""The Triton kernels against plain torch in float64, in every configuration; scripts/gpu runs it.

Convolutions of all kinds, with numbers of rows about the tile sizes and channels that fill no block. Each result is
computed several times into poisoned memory: a race shows as a result that changes.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from dspdet3d_ros.sparse import CoordinateSet
from dspdet3d_ros.sparse.convolution import Epilogue, gather_multiply
from dspdet3d_ros.sparse.kernel_map import kernel_map
from dspdet3d_ros.sparse.triton.tuning import candidates

#: Largest relative error (norm of the difference over the norm) by the type of the operands.
TOLERANCES = {torch.float16: 2e-3, torch.float32: 1e-5}
CHANNELS = ((64, 64), (128, 128), (3, 64), (48, 34), (130, 257), (1, 1))
FEW_CHANNELS = ((16, 16),)
ROWS = (0, 1, 31, 33, 128, 5000)
FEW_ROWS = (33,)
REPEATS = 5


@dataclass(frozen=True)
class KernelCheck:
    """One configuration of the kernel on one convolution.

    Attributes:
        kind: "stride 1", "stride 2", "shortcut" or "transposed".
        rows: number of input rows.
        channels: of the input and the output.
        operands: "float16" or "float32".
        configuration: the tile sizes, in words.
        error: relative error.
        repeatable: whether every repeat gave the same bits.
        passed: whether the error is within the tolerance and all repeats agree.
    """

    kind: str
    rows: int
    channels: tuple[int, int]
    operands: str
    configuration: str
    error: float
    repeatable: bool
    passed: bool


def check_kernels(device: torch.device, few: bool = False) -> Iterator[KernelCheck]:
    """Checks every configuration.

    Args:
        device: a CUDA device, or the CPU in Triton's interpreter.
        few: one size and configuration of each, once, as the interpreter is slow.
    """
    generator = torch.Generator().manual_seed(0)
    for rows in FEW_ROWS if few else ROWS:
        cells = _cells(rows, device, generator)
        kinds = {
            "stride 1": (cells, cells, 27),
            "stride 2": (cells, cells.downsampled(), 27),
            "shortcut": (cells, cells.downsampled(), 1),
            "transposed": (cells, cells.expanded(), 27),
        }
        for kind, sets in kinds.items():
            for channels in FEW_CHANNELS if few else CHANNELS:
                for dtype in TOLERANCES:
                    yield from _check(kind, *sets, channels, dtype, generator, few)


def _cells(count: int, device: torch.device, generator: torch.Generator) -> CoordinateSet:
    edge = max(2, round((3 * count) ** (1 / 3)))
    places = torch.randint(-edge, edge, (8 * count, 4), generator=generator) * torch.tensor([0, 2, 2, 2])
    whole, _ = CoordinateSet.from_coordinates(places.to(device), 2)
    return whole.subset(torch.arange(min(count, len(whole)), device=device))


def _check(
    kind: str,
    inputs: CoordinateSet,
    outputs: CoordinateSet,
    volume: int,
    channels: tuple[int, int],
    dtype: torch.dtype,
    generator: torch.Generator,
    few: bool,
) -> Iterator[KernelCheck]:
    from dspdet3d_ros.sparse.triton.triton_engine import TritonEngine

    device, (c_in, c_out) = inputs.keys.device, channels

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    engine = TritonEngine(device, dtype, tune=False)
    features, weight = random(len(inputs), c_in).to(dtype), (random(volume, c_in, c_out) / (9 * c_in) ** 0.5).to(dtype)
    bias, residual = random(c_out), random(len(outputs), c_out).to(dtype)
    epilogue = Epilogue(bias, residual, relu=True)
    exact = Epilogue(bias.cpu().double(), residual.cpu().double(), relu=True)
    pairs = kernel_map(CoordinateSet(inputs.keys.cpu(), inputs.stride), _on_cpu(outputs), volume)
    wanted = gather_multiply(features.cpu().double(), weight.cpu().double(), pairs, exact)
    for configuration in candidates(c_in, c_out, dtype)[: 1 if few else None]:
        results = []
        for _ in range(1 if few else REPEATS):
            out = torch.full((len(outputs), c_out), float("nan"), dtype=dtype, device=device)
            if len(outputs):
                engine.launcher(features, weight, engine.plan(inputs, outputs, volume), epilogue, out)(configuration)
            results.append(out)
        error = float((results[0].cpu().double() - wanted).norm() / wanted.norm()) if wanted.numel() else 0.0
        same = all(torch.equal(results[0], other) for other in results)
        passed = error <= TOLERANCES[dtype] and same
        how = f"tile {configuration.tile}, block {configuration.block_in}, {configuration.warps} warps, "
        how += f"{configuration.stages} stages"
        yield KernelCheck(kind, len(inputs), channels, str(dtype)[6:], how, error, same, passed)


def _on_cpu(cells: CoordinateSet) -> CoordinateSet:
    return CoordinateSet(cells.keys.cpu(), cells.stride)


def main() -> int:
    """Prints and writes the summary; the exit status is 1 if a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda", help="CUDA device; cpu in Triton's interpreter")
    parser.add_argument("--few", action="store_true", help="one size and configuration of each, once")
    parser.add_argument("--seconds", type=float, default=50, help="stop after this time (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    start, checks, whole = time.monotonic(), [], True
    for check in check_kernels(torch.device(arguments.device), arguments.few):
        checks.append(check)
        if not check.passed:
            print(f"FAILED {check}", flush=True)
        if time.monotonic() - start > arguments.seconds:
            whole = False
            break
    worst = {kind: max((c.error for c in checks if c.operands == kind), default=0.0) for kind in ("float16", "float32")}
    failed = sum(not check.passed for check in checks)
    summary = {"checks": len(checks), "failed": failed, "complete": whole, "largest_error": worst}
    print(summary)
    if arguments.json:
        arguments.json.write_text(json.dumps({**summary, "all": [asdict(check) for check in checks]}), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
