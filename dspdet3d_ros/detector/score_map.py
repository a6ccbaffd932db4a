"""The calibration of scores: from the score of the network to the probability that a box is right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ScoreMap:
    """A logistic map: p = sigmoid(slope · logit(score) + offset). It keeps the order of scores.

    Attributes:
        slope: above 0.
        offset: of any size.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, scores: Tensor) -> Tensor:
        """The probabilities for scores of any shape; 0 stays 0."""
        if self == ScoreMap():
            return scores
        return torch.sigmoid(self.slope * torch.logit(scores) + self.offset)

    def inverse(self, probability: float) -> float:
        """The score that is mapped to a probability in 0..1."""
        if self == ScoreMap() or not 0 < probability < 1:
            return probability
        return 1 / (1 + math.exp(-(math.log(probability / (1 - probability)) - self.offset) / self.slope))

    def after(self, first: ScoreMap) -> ScoreMap:
        """The map that applies `first` and then this one."""
        return ScoreMap(self.slope * first.slope, self.slope * first.offset + self.offset)
