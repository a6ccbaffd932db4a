"""Choice of the precision that trains faster on this computer."""

from __future__ import annotations

import time
from typing import NamedTuple

import torch

from dspdet3d_ros.sparse import CoordinateSet, training_engine

#: Types of the operands of matrix products, by what a recipe calls them.
PRODUCT_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
#: bf16 is less exact: it is chosen only if it takes at most this part of the time of fp32.
_WORTH_IT = 0.9
_REPEATS = 3
#: Once bf16 takes so many times as long as fp32, the rest is not measured.
_HOPELESS = 4
_SIDE = 56


class Precision(NamedTuple):
    """A precision of training.

    Attributes:
        name: a key of `PRODUCT_TYPES`.
        note: what to tell the user about it; "" for nothing.
    """

    name: str
    note: str = ""


def choose_precision(wanted: str, device: torch.device, channels: int) -> Precision:
    """The precision to train in: the wanted one, or for "auto" bf16 where it is faster, else fp32.

    A processor without instructions for bfloat16 takes many times as long in bf16.

    Args:
        wanted: "auto" or a key of `PRODUCT_TYPES`; a slow choice is kept, but noted.
        device: where training runs; both precisions are measured there unless fp32 is wanted.
        channels: of the convolution that is measured, in and out.
    """
    if wanted == "fp32":
        return Precision("fp32")
    ratio = _bf16_time(device, channels)
    faster = "bf16" if ratio <= _WORTH_IT else "fp32"
    measured = f"a convolution with its gradients takes {ratio:.2g} times as long in bf16 as in fp32 here"
    if wanted == "auto":
        return Precision(faster, f"precision: {faster}, since {measured}")
    return Precision(wanted, "" if wanted == faster else f"precision: {wanted}, although {measured}; consider fp32")


def _bf16_time(device: torch.device, channels: int) -> float:
    """The time that a convolution and its gradients take in bf16, divided by the time in fp32."""
    cells = _flat_cells(device)
    single = min(_seconds(cells, channels, torch.float32) for _ in range(_REPEATS))
    half = float("inf")
    for _ in range(_REPEATS):
        half = min(half, _seconds(cells, channels, torch.bfloat16))
        if half > _HOPELESS * single:
            break
    return half / single


def _flat_cells(device: torch.device) -> CoordinateSet:
    axis = torch.arange(_SIDE, device=device)
    plan = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    none = plan.new_zeros(len(plan), 1)
    return CoordinateSet.from_coordinates(torch.cat([none, plan, none], 1))[0]


def _seconds(cells: CoordinateSet, channels: int, dtype: torch.dtype) -> float:
    device = cells.keys.device
    engine = training_engine(device, dtype)
    features = torch.ones(len(cells), channels, device=device, requires_grad=True)
    weight = torch.ones(27, channels, channels, device=device, requires_grad=True)
    _wait_for(device)
    start = time.perf_counter()
    engine.convolve(features, weight, cells, cells).sum().backward()
    _wait_for(device)
    return time.perf_counter() - start


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
