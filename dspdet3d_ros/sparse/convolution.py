"""The sparse convolution itself, in plain torch.

Two ways, chosen by the map: where most neighbours exist (the decoder of DSPDet3D: 20 to 25 of 27), or channels are few,
the neighbours of a chunk of rows are gathered side by side and multiplied at once; elsewhere (the encoder: 4 to 15)
only the pairs that exist are gathered, offset by offset, and their products added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dspdet3d_ros.sparse.coords import synchronises
from dspdet3d_ros.sparse.kernel_map import KernelMap
from dspdet3d_ros.sparse.matmul import padded_rows, product
from dspdet3d_ros.sparse.parallel import for_chunks, worker_count

#: Gathered elements per chunk: 2 MB of float32 on the CPU, near a core's L2 cache; on a GPU enough to keep it busy.
CPU_CHUNK_ELEMENTS = 1 << 19
GPU_CHUNK_ELEMENTS = 1 << 27
#: Output rows of a tile whose pairs are added up: few enough to stay in the cache, enough for an efficient product.
TILE_ROWS = 4096
#: Cost of gathering and adding up a pair, in addition to its product, as a number of input channels.
PAIR_COST_CHANNELS = 96


@dataclass(frozen=True)
class Epilogue:
    """Operations on a chunk of outputs while it is in the cache.

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


def wants_gradient(features: Tensor, weight: Tensor, epilogue: Epilogue | None) -> bool:
    """Whether autograd will ask for a gradient of the convolution of these."""
    parts = () if epilogue is None else (epilogue.bias, epilogue.residual)
    tensors = (features, weight, *parts)
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def gather_multiply(
    features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue | None = None
) -> Tensor:
    """`out[q] = Σ_k W_kᵀ · in[map(q, k)]`, then the epilogue; no gradients.

    Args:
        features: (N_in, C_in).
        weight: (K, C_in, C_out), of the features' type.
        kernel_map: K offsets from N_in to N_out rows.
        epilogue: see `Epilogue`.

    Returns:
        (N_out, C_out) of the features' type; sums of bfloat16 and float16 are taken in float32.
    """
    epilogue = epilogue or Epilogue()
    if not synchronises(features) and _is_sparse(kernel_map, weight.shape[1]):
        return _multiply_pairs(features, weight, kernel_map, epilogue)
    return _multiply_rows(features, weight, kernel_map, epilogue)


def _is_sparse(kernel_map: KernelMap, c_in: int) -> bool:
    """Whether only the existing pairs cost less than all possible ones: gathering matters less for wide products."""
    possible = kernel_map.kernel_volume * kernel_map.n_out
    return kernel_map.pairs() < possible * c_in / (c_in + PAIR_COST_CHANNELS)


def _multiply_rows(features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue) -> Tensor:
    """All K neighbours of a row side by side, absent ones as zeros: one product for each chunk of rows."""
    volume, c_in, c_out = weight.shape
    padded = torch.cat([features, features.new_zeros(1, c_in)])
    out = features.new_empty(kernel_map.n_out, c_out)
    matrix = weight.reshape(volume * c_in, c_out)
    rows = min(_chunk_rows(volume * c_in, features), max(kernel_map.n_out, 1))

    def work(starts: range) -> None:
        buffer = features.new_empty(padded_rows(rows), volume * c_in)
        for start in starts:
            part = out[start : start + rows]
            index = kernel_map.table[start : start + rows].view(-1)
            torch.index_select(padded, 0, index, out=buffer.view(-1, c_in)[: len(index)])
            part.copy_(product(buffer[: padded_rows(len(part))], matrix)[: len(part)])
            epilogue.apply_to(part, start)

    for_chunks(kernel_map.n_out, rows, work, features.device.type == "cpu")
    return out


def _multiply_pairs(features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue) -> Tensor:
    """The pairs of a tile of output rows, one product for each offset, added up while the tile is in the cache."""
    sum_type = torch.promote_types(features.dtype, torch.float32)
    out = features.new_empty(kernel_map.n_out, weight.shape[2], dtype=sum_type)
    rows = min(TILE_ROWS, -(-kernel_map.n_out // worker_count()) or 1)
    bounds = _tile_bounds(kernel_map, rows)

    def work(starts: range) -> None:
        buffer = features.new_empty(padded_rows(rows), features.shape[1])
        for start in starts:
            part = out[start : start + rows].zero_()
            tile = start // rows
            for (sources, targets), bound, matrix in zip(kernel_map.pair_lists, bounds, weight, strict=True):
                low, high = bound[tile], bound[tile + 1]
                if low == high:
                    continue
                count = high - low
                torch.index_select(features, 0, sources[low:high], out=buffer[:count])
                # The rows that fill up the buffer hold old values; their products are not read.
                products = product(buffer[: padded_rows(count)], matrix)[:count].to(sum_type)
                if count == len(part):
                    part.add_(products)
                else:
                    out.index_add_(0, targets[low:high], products)
            epilogue.apply_to(part, start)

    for_chunks(kernel_map.n_out, rows, work, on_cpu=True)
    return out.to(features.dtype)


def _tile_bounds(kernel_map: KernelMap, rows: int) -> list[list[int]]:
    """For each offset, where in its list of pairs each tile of `rows` output rows starts; one more for the end."""
    starts = torch.arange(0, kernel_map.n_out + rows, rows, dtype=torch.int32)
    return [torch.searchsorted(targets, starts).tolist() for _, targets in kernel_map.pair_lists]


def weight_gradient(features: Tensor, out_gradient: Tensor, kernel_map: KernelMap) -> Tensor:
    """(K, C_in, C_out) float32: `Σ_q in[map(q, k)] · out_gradient[q]ᵀ`."""
    volume, c_in, c_out = kernel_map.kernel_volume, features.shape[1], out_gradient.shape[1]
    if synchronises(features):
        return _weight_gradient_of_rows(features, out_gradient, kernel_map)
    sums = torch.zeros(volume, c_in, c_out, dtype=torch.float32, device=features.device)
    lists = kernel_map.pair_lists

    def work(offsets: range) -> None:
        for k in offsets:
            for sources, targets in zip(*(rows.split(TILE_ROWS) for rows in lists[k]), strict=True):
                inputs = torch.index_select(features, 0, sources)
                gradients = torch.index_select(out_gradient, 0, targets)
                sums[k].add_(torch.mm(inputs.t(), gradients))

    for_chunks(volume, 1, work, features.device.type == "cpu")
    return sums


def _weight_gradient_of_rows(features: Tensor, out_gradient: Tensor, kernel_map: KernelMap) -> Tensor:
    """Products of all neighbours side by side and the gradients: few operations, none of which waits."""
    volume, c_in, c_out = kernel_map.kernel_volume, features.shape[1], out_gradient.shape[1]
    padded = torch.cat([features, features.new_zeros(1, c_in)])
    rows = min(_chunk_rows(volume * c_in, features), max(kernel_map.n_out, 1))
    sums: Tensor | None = None
    for start in range(0, max(kernel_map.n_out, 1), rows):
        table = kernel_map.table[start : start + rows]
        neighbours = padded.index_select(0, table.view(-1)).view(len(table), volume * c_in)
        part = torch.mm(neighbours.t(), out_gradient[start : start + rows]).float()
        sums = part if sums is None else sums.add_(part)
    assert sums is not None
    return sums.view(volume, c_in, c_out)


def _chunk_rows(row_elements: int, like: Tensor) -> int:
    elements = GPU_CHUNK_ELEMENTS if synchronises(like) else CPU_CHUNK_ELEMENTS
    return max(32, elements // row_elements)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: KernelMap, dtype: torch.dtype) -> Tensor:
        features, weight = features.to(dtype), weight.to(dtype)
        ctx.save_for_backward(features, weight)
        ctx.kernel_map = kernel_map
        return gather_multiply(features, weight, kernel_map).float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, weight = ctx.saved_tensors
        gradient = gradient.to(features.dtype).contiguous()
        in_gradient, of_weight = None, None
        if ctx.needs_input_grad[0]:
            back = weight.transpose(1, 2).contiguous()
            in_gradient = gather_multiply(gradient, back, ctx.kernel_map.transposed()).float()
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient(features, gradient, ctx.kernel_map)
        return in_gradient, of_weight, None, None


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
