"""Each kind of convolution of a run on its own, with its kernel map at hand and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dspdet3d_ros.sparse import CoordinateSet, Engine
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.tools.benchmark.recorder import Convolution
from dspdet3d_ros.tools.benchmark.samples import milliseconds, summary

_COORDINATES = 3


def largest_of_each_kind(convolutions: Sequence[Convolution]) -> list[Convolution]:
    """The convolution with the most multiply-adds of each kind, most first."""
    largest: dict[str, Convolution] = {}
    for one in convolutions:
        if one.kind not in largest or one.multiply_adds > largest[one.kind].multiply_adds:
            largest[one.kind] = one
    return sorted(largest.values(), key=lambda one: -one.multiply_adds)


def measure_kinds(
    convolutions: Sequence[Convolution],
    engines: Mapping[str, Engine],
    ceilings: Mapping[int, Mapping[str, Any]],
    device: torch.device,
    rounds: int,
) -> list[dict[str, Any]]:
    """Times of the largest convolution of each kind on every engine, in turn.

    Args:
        convolutions: those of a run.
        engines: the engines by name.
        ceilings: see `ceiling.ceilings`.
        device: where to run.
        rounds: measured rounds, after one of warm-up.

    Returns:
        For each kind its size and multiply-adds, how many of its (output, offset) places are filled, its share of the
        run's multiply-adds, and by engine milliseconds, GFLOP/s and share of the ceiling with the map `ready` and
        `with_map`, where the outputs' coordinates and the map are made anew.
    """
    total = sum(one.multiply_adds for one in convolutions)
    rows = []
    for one in largest_of_each_kind(convolutions):
        alike = [other for other in convolutions if other.kind == one.kind]
        ceiling = ceilings.get(one.c_in)
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
                "engines": _on_engines(one, engines, ceiling["gflops"] if ceiling else None, device, rounds),
            }
        )
    return rows


def _on_engines(
    one: Convolution, engines: Mapping[str, Engine], ceiling: float | None, device: torch.device, rounds: int
) -> dict[str, dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(len(one.inputs), one.c_in, generator=generator).to(device)
    weight = torch.randn(one.volume, one.c_in, one.c_out, generator=generator).to(device)
    bias = torch.randn(one.c_out, generator=generator).to(device)
    spent: dict[str, dict[str, list[float]]] = {name: {"ready": [], "with_map": []} for name in engines}
    with torch.inference_mode():
        own = {name: _as_stored(engine, features, weight, one) for name, engine in engines.items()}
        for number in range(rounds + 1):
            for name, engine in engines.items():
                anew, ready = _twice(engine, own[name], weight, bias, one, device)
                if number:
                    spent[name]["with_map"].append(anew)
                    spent[name]["ready"].append(ready)
    operations = 2 * one.multiply_adds / 1e9
    figures: dict[str, dict[str, Any]] = {}
    for name, times in spent.items():
        figures[name] = {}
        for state, samples in times.items():
            found = summary(samples)
            gflops = operations / (found["median"] / 1e3)
            share = gflops / ceiling if ceiling else None
            figures[name][state] = {"ms": found, "gflops": gflops, "share_of_ceiling": share}
    return figures


def _as_stored(engine: Engine, features: Tensor, weight: Tensor, one: Convolution) -> Tensor:
    """The features in the type that the engine keeps between convolutions; the network's first sees coordinates."""
    if one.c_in == _COORDINATES:
        return features
    few = CoordinateSet(one.inputs.keys[:1], one.inputs.stride)
    return features.to(engine.convolve(features[:1], weight, few, few).dtype)


def _twice(
    engine: Engine, features: Tensor, weight: Tensor, bias: Tensor, one: Convolution, device: torch.device
) -> tuple[float, float]:
    """Milliseconds on coordinates that nothing is known of, and again on the same."""
    inputs = CoordinateSet(one.inputs.keys, one.inputs.stride)
    epilogue = Epilogue(bias, relu=True)

    def work() -> None:
        engine.convolve(features, weight, inputs, inputs.at_stride(one.outputs.stride), epilogue)

    return milliseconds(work, device), milliseconds(work, device)
