"""Time of each kind of convolution of a run, with a ready kernel map and with a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dspdet3d_ros.sparse import CoordinateSet, Engine
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.tools.benchmark.recorder import RecordedConvolution
from dspdet3d_ros.tools.benchmark.samples import milliseconds, summary

_COORDINATES = 3


def largest_of_each_kind(convolutions: Sequence[RecordedConvolution]) -> list[RecordedConvolution]:
    """The convolution with the most multiply-adds of each kind, largest first."""
    largest: dict[str, RecordedConvolution] = {}
    for one in convolutions:
        if one.kind not in largest or one.multiply_adds > largest[one.kind].multiply_adds:
            largest[one.kind] = one
    return sorted(largest.values(), key=lambda one: -one.multiply_adds)


def measure_kinds(
    convolutions: Sequence[RecordedConvolution],
    engines: Mapping[str, Engine],
    gemm_peaks: Mapping[int, Mapping[str, Any]],
    device: torch.device,
    repeats: int,
) -> list[dict[str, Any]]:
    """Times the largest convolution of each kind on every engine. The engines take turns.

    Args:
        convolutions: those of a run.
        engines: the engines by name.
        gemm_peaks: see `gemm_peak.gemm_peaks`.
        device: where to run.
        repeats: measured runs, after one warm-up run.

    Returns:
        For each kind: size, multiply-adds, the fraction of (output, offset) pairs that have an input (`filled`), the
        fraction of the run's multiply-adds, and by engine milliseconds, GFLOP/s and fraction of the GEMM peak. State
        `ready` has the kernel map cached; state `with_map` includes making the output coordinates and the map.
    """
    total = sum(one.multiply_adds for one in convolutions)
    rows = []
    for one in largest_of_each_kind(convolutions):
        alike = [other for other in convolutions if other.kind == one.kind]
        peak = gemm_peaks.get(one.c_in)
        rows.append(
            {
                "kind": one.kind,
                "stage": one.stage,
                "rows": len(one.outputs),
                "pairs": one.pairs,
                "filled": one.pairs / (len(one.outputs) * one.volume),
                "multiply_adds": one.multiply_adds,
                "count": len(alike),
                "share_of_run": sum(other.multiply_adds for other in alike) / total,
                "engines": _on_engines(one, engines, peak["gflops"] if peak else None, device, repeats),
            }
        )
    return rows


def _on_engines(
    one: RecordedConvolution,
    engines: Mapping[str, Engine],
    gemm_peak: float | None,
    device: torch.device,
    repeats: int,
) -> dict[str, dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(len(one.inputs), one.c_in, generator=generator).to(device)
    weight = torch.randn(one.volume, one.c_in, one.c_out, generator=generator).to(device)
    bias = torch.randn(one.c_out, generator=generator).to(device)
    spent: dict[str, dict[str, list[float]]] = {name: {"ready": [], "with_map": []} for name in engines}
    with torch.inference_mode():
        own = {name: _as_stored(engine, features, weight, one) for name, engine in engines.items()}
        for number in range(repeats + 1):
            for name, engine in engines.items():
                with_map, ready = _twice(engine, own[name], weight, bias, one, device)
                if number:
                    spent[name]["with_map"].append(with_map)
                    spent[name]["ready"].append(ready)
    operations = 2 * one.multiply_adds / 1e9
    figures: dict[str, dict[str, Any]] = {}
    for name, times in spent.items():
        figures[name] = {}
        for state, samples in times.items():
            ms = summary(samples)
            gflops = operations / (ms["median"] / 1e3)
            share = gflops / gemm_peak if gemm_peak else None
            figures[name][state] = {"ms": ms, "gflops": gflops, "share_of_gemm_peak": share}
    return figures


def _as_stored(engine: Engine, features: Tensor, weight: Tensor, one: RecordedConvolution) -> Tensor:
    """The features in the type that the engine stores. The first convolution receives coordinates as they are."""
    if one.c_in == _COORDINATES:
        return features
    return features.to(engine.storage)


def _twice(
    engine: Engine, features: Tensor, weight: Tensor, bias: Tensor, one: RecordedConvolution, device: torch.device
) -> tuple[float, float]:
    """Milliseconds on coordinates without cached maps, and again with them."""
    inputs = CoordinateSet(one.inputs.keys, one.inputs.stride)
    epilogue = Epilogue(bias, relu=True)

    def work() -> None:
        engine.convolve(features, weight, inputs, inputs.at_stride(one.outputs.stride), epilogue)

    return milliseconds(work, device), milliseconds(work, device)
