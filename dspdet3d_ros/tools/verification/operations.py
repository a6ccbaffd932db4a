"""Comparison of single operations, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from dspdet3d_ros.sparse import CoordinateSet, Engine, SparseTensor, make_engine
from dspdet3d_ros.tools.verification.comparison import (
    FORWARD_TOLERANCE,
    GRADIENT_TOLERANCE,
    HALF_TOLERANCE,
    Comparison,
    close,
    read_reference,
)

_ROWS, _CHANNELS = 5000, 64


def verify_operations(path: Path, engine: Engine, device: torch.device) -> Iterator[Comparison]:
    """Compares every operation of an `ops*.npz`."""
    arrays = read_reference(path)
    for group in sorted({name.split("/")[0] for name in arrays}):
        part = {name.split("/", 1)[1]: array for name, array in arrays.items() if name.startswith(f"{group}/")}
        verify = _verify_interpolation if group == "features_at" else _verify_convolution
        yield from verify(f"{path.stem} {group}", part, engine, device)
    yield from _verify_normalisation(f"{path.stem} batch_norm", engine, device)


def _verify_normalisation(name: str, engine: Engine, device: torch.device) -> Iterator[Comparison]:
    """Compares batch normalisation in training with torch in double precision."""
    generator = torch.Generator().manual_seed(0)
    values, residual, out_grad = (torch.randn(_ROWS, _CHANNELS, generator=generator) for _ in range(3))
    results = []
    for double in (False, True):
        kind = torch.float64 if double else torch.float32
        norm = torch.nn.BatchNorm1d(_CHANNELS, device=device, dtype=kind)
        x, more = (part.to(device, kind).requires_grad_() for part in (values + 0.5, residual))
        out = norm(x) + more if double else engine.normalise(x, norm, more, False)
        gradients = torch.autograd.grad(out, (x, more, norm.weight, norm.bias), out_grad.to(device, kind))
        results.append([part.detach().cpu().numpy() for part in (out, *gradients)])
    parts = ("output", "input gradient", "residual gradient", "weight gradient", "bias gradient")
    for part, value, wanted in zip(parts, *results, strict=True):
        yield close(f"{name} {part}", value, wanted, FORWARD_TOLERANCE)


def _tensor(
    part: dict[str, np.ndarray], stride: int, engine: Engine, device: torch.device
) -> tuple[SparseTensor, torch.Tensor]:
    coords = torch.from_numpy(part["in_coords"]).to(device)
    cells, rows = CoordinateSet.from_coordinates(coords, stride)
    return SparseTensor(torch.from_numpy(part["in_feats"]).to(device)[rows], cells, engine), rows


def _verify_convolution(
    name: str, part: dict[str, np.ndarray], engine: Engine, device: torch.device
) -> Iterator[Comparison]:
    x, rows = _tensor(part, 4 if "stride4" in name else 1, engine, device)
    features = x.features.requires_grad_()
    weight = torch.from_numpy(part["weight"]).to(device)
    weight = (weight if weight.ndim == 3 else weight[None]).clone().requires_grad_()
    stride = x.coords.stride
    if "generative" in name:
        stride //= 2
    elif "_s2" in name:
        stride *= 2
    outputs = x.coords.at_stride(stride)
    yield from _verify_inference(name, features.detach(), weight.detach(), x.coords, outputs, engine, part["out_feats"])
    out = engine.convolve(features, weight, x.coords, outputs)
    out_grad = torch.from_numpy(part["out_grad"]).to(device)
    in_grad, weight_grad = torch.autograd.grad(out, (features, weight), out_grad)
    same = np.array_equal(outputs.coords.cpu().numpy(), part["out_coords"])
    yield Comparison(f"{name} coordinates", same, f"{len(outputs)} cells, {len(part['out_coords'])} in the reference")
    yield close(f"{name} output", out.detach().cpu().numpy(), part["out_feats"], FORWARD_TOLERANCE)
    order = rows.cpu().numpy()
    yield close(f"{name} input gradient", in_grad.cpu().numpy(), part["in_grad"][order], GRADIENT_TOLERANCE)
    weight_gradient = weight_grad.cpu().numpy().reshape(part["weight_grad"].shape)
    yield close(f"{name} weight gradient", weight_gradient, part["weight_grad"], GRADIENT_TOLERANCE)


def _verify_inference(
    name: str,
    features: torch.Tensor,
    weight: torch.Tensor,
    inputs: CoordinateSet,
    outputs: CoordinateSet,
    engine: Engine,
    wanted: np.ndarray,
) -> Iterator[Comparison]:
    """Compares the output without gradients, for which an engine may have other kernels, and types of its own."""
    # Not in inference mode: what is cached with the coordinates serves the gradients later.
    with torch.no_grad():
        out = engine.convolve(features, weight, inputs, outputs)
    yield close(f"{name} inference", out.cpu().numpy(), wanted, FORWARD_TOLERANCE)
    if engine.name == "triton":
        half = make_engine("triton", features.device, "fp16")
        with torch.no_grad():
            out = half.convolve(features.half(), weight.half(), inputs, outputs).float()
        yield close(f"{name} inference in fp16", out.cpu().numpy(), wanted, HALF_TOLERANCE)


def _verify_interpolation(
    name: str, part: dict[str, np.ndarray], engine: Engine, device: torch.device
) -> Iterator[Comparison]:
    x, _ = _tensor(part, 4, engine, device)
    out = x.interpolate(torch.from_numpy(part["query"]).to(device))
    yield close(name, out.cpu().numpy(), part["out"], FORWARD_TOLERANCE)
