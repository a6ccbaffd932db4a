"""A moving average of the weights, which is usually a little better than the weights of any single step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class MovingAverage:
    """An exponential moving average of a network's parameters.

    In the first steps the decay is smaller, so that the average does not keep the start for long.

    Args:
        network: its parameters are averaged; running statistics are not.
        decay: of the average at each step, below 1; 0 for no average.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network, self._decay = network, decay
        self._average: dict[str, Tensor] = {}
        self.load(None)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Adds the parameters after a step, the first of which is number 0."""
        decay = min(self._decay, (step + 1) / (step + 11))
        if self._average:
            parameters = dict(self._network.named_parameters())
            # All in one operation: on a GPU each is a launch.
            torch._foreach_lerp_([self._average[name] for name in parameters], list(parameters.values()), 1 - decay)

    def state(self) -> dict[str, Tensor]:
        """The averaged parameters by name; empty if there is no average."""
        return self._average

    def load(self, state: Mapping[str, Tensor] | None) -> None:
        """Continues with an average, or starts with the network's parameters if there is none yet."""
        if not self._decay:
            return
        start = self._network.state_dict() | dict(state or {})
        self._average = {name: start[name].detach().clone().to(p) for name, p in self._network.named_parameters()}
