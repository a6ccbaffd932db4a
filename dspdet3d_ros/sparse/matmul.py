"""Dense matrix products, by the library that is fastest on this processor."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def _onednn_linear() -> Callable[..., Tensor] | None:
    """oneDNN's product for dense float32 rows, or None if it is missing or no faster.

    torch.mm uses MKL for float32, which leaves AVX-512 idle on AMD processors: oneDNN is more than twice as fast there
    and equally fast on Intel processors. torch has it as an operator of its compiler, which is tested once before use.
    """
    try:
        if not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":
            return None
        linear = torch.ops.mkldnn._linear_pointwise
        rows, weight = torch.arange(6.0).view(2, 3), torch.arange(12.0).view(3, 4)
        return linear if torch.equal(linear(rows, weight.t(), None, "none", [], ""), rows @ weight) else None
    except (AttributeError, RuntimeError):
        return None


LINEAR = _onednn_linear()


def padded_rows(count: int) -> int:
    """`count` or more, one of few numbers: oneDNN compiles and keeps a kernel for each number of rows it meets."""
    step = 32 if count <= 256 else 256
    return -(-count // step) * step


def product(rows: Tensor, weight: Tensor) -> Tensor:
    """(M, K) rows times (K, N) weight, both of one type; M is best one of `padded_rows`. No gradients."""
    if LINEAR is not None and rows.dtype == torch.float32 and rows.device.type == "cpu":
        try:
            return LINEAR(rows, weight.t(), None, "none", [], "")
        except RuntimeError:
            # If memory is short, oneDNN cannot create its kernel and gives no reason; torch.mm needs no kernel.
            pass
    return torch.mm(rows, weight)
