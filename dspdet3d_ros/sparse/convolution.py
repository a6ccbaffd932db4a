"""The sparse convolution itself, in plain torch: gather the neighbours of a chunk of rows, one matrix product each.

Where most neighbours exist (the decoder of DSPDet3D: 25 of 27) this beats one product per kernel offset, which has to
add every product into the output once more.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dspdet3d_ros.sparse.kernel_map import KernelMap
from dspdet3d_ros.sparse.parallel import for_chunks, worker_count

#: Gathered elements per chunk: 2 MB of float32 on the CPU, near a core's L2 cache; on a GPU as much as keeps it busy.
CPU_CHUNK_ELEMENTS = 1 << 19
GPU_CHUNK_ELEMENTS = 1 << 27


@dataclass(frozen=True)
class Epilogue:
    """What is applied to a chunk of outputs while it is in the cache.

    Attributes:
        bias: (C_out,) added, or None.
        residual: (N_out, C_out) added, or None.
        relu: negative values become 0.
    """

    bias: Tensor | None = None
    residual: Tensor | None = None
    relu: bool = False

    def apply_to(self, part: Tensor, start: int = 0) -> Tensor:
        """Applies it in place to output rows `start` to `start + len(part)`, and returns them."""
        if self.bias is not None:
            part.add_(self.bias)
        if self.residual is not None:
            part.add_(self.residual[start : start + len(part)])
        return part.relu_() if self.relu else part


def gather_multiply(
    features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue | None = None
) -> Tensor:
    """`out[q] = Σ_k W_kᵀ · in[map(q, k)]`, then the epilogue; no gradients.

    Args:
        features: (N_in, C_in).
        weight: (K, C_in, C_out), of the features' type. In bfloat16 or float16 sums are still float32 within a row.
        kernel_map: K offsets from N_in to N_out rows.
        epilogue: see `Epilogue`.

    Returns:
        (N_out, C_out) of the features' type.
    """
    volume, c_in, c_out = weight.shape
    padded = torch.cat([features, features.new_zeros(1, c_in)])
    out = features.new_empty(kernel_map.n_out, c_out)
    matrix = weight.reshape(volume * c_in, c_out)
    rows = min(_chunk_rows(volume * c_in, features), max(kernel_map.n_out, 1))

    def work(_: int, starts: range) -> None:
        buffer = features.new_empty(rows * volume, c_in)
        for start in starts:
            part = out[start : start + rows]
            gathered = _gather(padded, kernel_map, start, len(part), buffer)
            torch.mm(gathered, matrix, out=part)
            if epilogue is not None:
                epilogue.apply_to(part, start)

    for_chunks(kernel_map.n_out, rows, work, features.device.type == "cpu")
    return out


def weight_gradient(features: Tensor, out_gradient: Tensor, kernel_map: KernelMap) -> Tensor:
    """(K, C_in, C_out) float32: `Σ_q in[map(q, k)] · out_gradient[q]ᵀ`."""
    volume, c_in, c_out = kernel_map.kernel_volume, features.shape[1], out_gradient.shape[1]
    padded = torch.cat([features, features.new_zeros(1, c_in)])
    # The chunk is the inner dimension of this product: longer ones pay.
    rows = min(4 * _chunk_rows(volume * c_in, features), max(kernel_map.n_out, 1))
    shape = (worker_count(features.device.type == "cpu"), volume * c_in, c_out)
    sums = torch.zeros(shape, dtype=torch.float32, device=features.device)

    def work(worker: int, starts: range) -> None:
        buffer = features.new_empty(rows * volume, c_in)
        for start in starts:
            part = out_gradient[start : start + rows]
            gathered = _gather(padded, kernel_map, start, len(part), buffer)
            if features.dtype == torch.float32:
                sums[worker].addmm_(gathered.t(), part)
            else:
                sums[worker].add_(torch.mm(gathered.t(), part))

    for_chunks(kernel_map.n_out, rows, work, features.device.type == "cpu")
    return sums.sum(0).view(volume, c_in, c_out)


def _chunk_rows(row_elements: int, like: Tensor) -> int:
    elements = CPU_CHUNK_ELEMENTS if like.device.type == "cpu" else GPU_CHUNK_ELEMENTS
    return max(32, elements // row_elements)


def _gather(padded: Tensor, kernel_map: KernelMap, start: int, rows: int, buffer: Tensor) -> Tensor:
    index = kernel_map.table[start : start + rows].view(-1)
    gathered = torch.index_select(padded, 0, index, out=buffer[: len(index)])
    return gathered.view(rows, -1)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, kernel_map: KernelMap, dtype: torch.dtype) -> Tensor:
        features, weight = features.to(dtype), weight.to(dtype)
        ctx.save_for_backward(features, weight)
        ctx.kernel_map = kernel_map
        return gather_multiply(features, weight, kernel_map).float()

    @staticmethod
    def backward(ctx, gradient: Tensor):
        features, weight = ctx.saved_tensors
        gradient = gradient.to(features.dtype).contiguous()
        in_gradient = None
        if ctx.needs_input_grad[0]:
            back = weight.transpose(1, 2).contiguous()
            in_gradient = gather_multiply(gradient, back, ctx.kernel_map.transposed()).float()
        return in_gradient, weight_gradient(features, gradient, ctx.kernel_map), None, None


def convolve(features: Tensor, weight: Tensor, kernel_map: KernelMap, dtype: torch.dtype = torch.float32) -> Tensor:
    """Differentiable sparse convolution.

    Args:
        features: (N_in, C_in) float32.
        weight: (K, C_in, C_out) float32.
        kernel_map: K offsets from N_in to N_out rows.
        dtype: type of the matrix products' operands; float32, or bfloat16 for mixed-precision training.

    Returns:
        (N_out, C_out) float32.
    """
    return _Convolution.apply(features, weight, kernel_map, dtype)
