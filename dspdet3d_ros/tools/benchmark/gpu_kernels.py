"""Time of the GPU kernels alone, compared with a public kernel on the same tables.

The public kernel is the masked implicit GEMM of spconv-triton (pip install spconv-triton; Apache-2.0).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dspdet3d_ros.detector.predictor import synthetic_room
from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.sparse import CoordinateSet, make_engine
from dspdet3d_ros.sparse.kernel_map import kernel_map
from dspdet3d_ros.sparse.triton.tuning import measure_on_cuda

POINTS = 100_000
VOXEL_SIZE = 0.02
CHANNELS = ((64, 64), (64, 128), (128, 128))
_REPEATS = 20
#: Largest relative error between two half-precision kernels: norm of the difference over the norm.
_TOLERANCE = 2e-3


def measure_kernels(device: torch.device, points: int = POINTS) -> dict[str, Any]:
    """Times stride-1, stride-2 and transposed convolutions and their maps. The kernels take turns.

    Returns:
        `kernels`, one mapping for each kind and number of channels: kind, channels, rows, pairs, median milliseconds of
        the map and of each kernel, TFLOP/s of our kernel (two operations per needed multiply-add), and `speedup` if the
        public kernel can be used. `against` names the public kernel, or the reason why it cannot be used.

    Raises:
        InputError: the device is no CUDA device, Triton cannot be used, or the two kernels differ.
    """
    if device.type != "cuda":
        raise InputError(f"--kernels: expected a CUDA device, got {device}; docs/gpu.md lists the checks without a GPU")
    engine = make_engine("triton", device, "fp16")
    public = _public_kernel()
    cells = torch.floor(torch.from_numpy(synthetic_room(points)).to(device) / VOXEL_SIZE).long()
    fine = CoordinateSet.from_coordinates(torch.nn.functional.pad(cells, (1, 0)))[0]
    coarse = fine.downsampled()
    kinds = {"stride 1": (fine, fine), "stride 2": (fine, coarse), "transposed": (coarse, coarse.expanded())}
    with torch.inference_mode():
        measured = [
            _measure(engine, public, kind, *sets, *channels) for kind, sets in kinds.items() for channels in CHANNELS
        ]
    against = "spconv-triton" if callable(public) else public
    return {"against": against, "kernels": measured}


def _measure(
    engine: Any,
    public: Callable | str,
    kind: str,
    inputs: CoordinateSet,
    outputs: CoordinateSet,
    c_in: int,
    c_out: int,
) -> dict[str, Any]:
    x = torch.randn(len(inputs), c_in, device=inputs.keys.device, dtype=torch.float16)
    w = torch.randn(27, c_in, c_out, device=x.device, dtype=torch.float16) / (27 * c_in) ** 0.5
    pairs = kernel_map(inputs, outputs, len(w))
    calls: dict[str, Callable[[], Any]] = {"triton": lambda: engine.convolve(x, w, inputs, outputs)}
    if callable(public):
        calls["spconv-triton"] = _with_tables(public, x, w, pairs.table, len(inputs))
        ours, theirs = calls["triton"]().float(), calls["spconv-triton"]().float()
        error = float((ours - theirs).norm() / theirs.norm())
        if not error < _TOLERANCE:
            raise InputError(
                f"{kind}: the kernels differ by {error:.1e}, expected less than {_TOLERANCE:.0e}; "
                "run `dspdet3d verify --backend triton` to check ours"
            )
    # A new set for each call, because a set caches its map.
    calls["map"] = lambda: engine.plan(CoordinateSet(inputs.keys, inputs.stride), outputs, 27)
    times = _interleaved(x.device, calls)
    count = pairs.pairs()
    values = {"kind": kind, "c_in": c_in, "c_out": c_out, "rows": len(outputs), "pairs": count, "ms": times}
    values["tflops"] = 2 * count * c_in * c_out / times["triton"] / 1e9
    if callable(public):
        values["speedup"] = times["spconv-triton"] / times["triton"]
    return values


def _public_kernel() -> Callable | str:
    """The public kernel, or the reason why it cannot be used."""
    try:
        from spconv_triton.pytorch._impl.gemm import conv_forward
    except Exception as error:  # any error means that it cannot be used
        return f"spconv-triton cannot be used ({text_of(error)[:120]}); pip install spconv-triton"
    return conv_forward


def _with_tables(conv_forward: Callable, x: Tensor, w: Tensor, table: Tensor, n_in: int) -> Callable[[], Tensor]:
    """A call of the public kernel, which expects rows sorted by their offset masks; -1 means no input row."""
    present = table < n_in
    powers = 1 << torch.arange(table.shape[1], device=table.device, dtype=torch.int32)
    masks, order = torch.sort((present * powers).sum(1, dtype=torch.int32), stable=True)
    by_offset = torch.where(present, table, -1).t().contiguous()
    filters, order = w.permute(2, 0, 1).contiguous(), order.int()
    return lambda: conv_forward(x, filters, by_offset, len(table), pair_mask=masks, mask_argsort=order)


def _interleaved(device: torch.device, calls: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median milliseconds that the device takes for each call; the calls take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_REPEATS):
        for name, call in calls.items():
            times[name].append(measure_on_cuda(device, call, repeats=1))
    return {name: statistics.median(values) for name, values in times.items()}


def table(values: dict[str, Any]) -> str:
    """One row for each kind and number of channels."""
    names = ("map", "ours", "TFLOP/s", "public", "ratio")
    head = f"{'convolution':<12}{'channels':>10}{'rows':>9}{'pairs':>10}" + "".join(f"{name:>9}" for name in names)
    lines = [f"kernels, ms, float16; public: {values['against']}", head]
    for row in values["kernels"]:
        channels, ms = f"{row['c_in']}-{row['c_out']}", row["ms"]
        line = f"{row['kind']:<12}{channels:>10}{row['rows']:>9}{row['pairs']:>10}{ms['map']:>9.3f}{ms['triton']:>9.3f}"
        line += f"{row['tflops']:>9.1f}"
        if "speedup" in row:
            line += f"{ms['spconv-triton']:>9.3f}{row['speedup']:>9.2f}"
        lines.append(line)
    return "\n".join(lines)
