"""Operations on rows of features, in plain torch: products, and batch normalisation in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TorchRows:
    """Operations on rows by torch, for engines without kernels of their own for them."""

    def multiply(self, features: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
        """See `Engine.multiply`."""
        return features @ matrix if bias is None else torch.addmm(bias, features, matrix)

    def normalise(self, features: Tensor, norm: nn.BatchNorm1d, residual: Tensor | None, relu: bool) -> Tensor:
        """See `Engine.normalise`."""
        out = norm(features)
        if residual is not None:
            out = out + residual
        return torch.relu(out) if relu else out


@torch.no_grad()
def count_statistics(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor, rows: int) -> None:
    """Adds a batch to the running statistics, as torch does.

    Args:
        norm: whose statistics change.
        mean, variance: (C,) of the batch; the variance is the mean of the squared differences.
        rows: number of rows of the batch.
    """
    running_mean, running_variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    batches = norm.get_buffer("num_batches_tracked")
    batches.add_(1)
    share = 1 / float(batches) if norm.momentum is None else norm.momentum
    running_mean.lerp_(mean, share)
    running_variance.lerp_(variance * (rows / (rows - 1)), share)
