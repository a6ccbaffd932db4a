"""The running statistics of a network's batch norms, which a forward pass changes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningStatistics:
    """Remembers a network's buffers at the time when it is made."""

    def __init__(self, network: nn.Module) -> None:
        buffers = list(network.buffers())
        # Side by side, each kind is copied by one operation instead of one for each buffer.
        self._floats = [buffer for buffer in buffers if buffer.is_floating_point()]
        self._counts = [buffer for buffer in buffers if not buffer.is_floating_point()]
        self._before = [_joined(part) for part in (self._floats, self._counts)]

    def finite(self) -> Tensor:
        """() bool: True if all buffers hold finite values now."""
        return torch.isfinite(_joined(self._floats)).all()

    def restore(self) -> None:
        """Puts the remembered values back."""
        for buffers, before in zip((self._floats, self._counts), self._before, strict=True):
            for buffer, values in zip(buffers, before.split([buffer.numel() for buffer in buffers]), strict=True):
                buffer.copy_(values.view_as(buffer))


def _joined(tensors: list[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors]) if tensors else torch.empty(0)
