"""The whole network."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from dspdet3d_ros.detector.backbone import Backbone
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import Head, LevelOutput
from dspdet3d_ros.detector.pruning import Pruning
from dspdet3d_ros.sparse import SparseTensor


class DSPDet3D(nn.Module):
    """DSPDet3D (arXiv 2305.03716): sparse backbone and pruning head; parameter names are the original's."""

    def __init__(self, config: ModelConfig, initial_size: float = 1.0) -> None:
        """`initial_size`: size of the boxes predicted before training, metres."""
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.widths, config.blocks)
        self.head = Head(config.widths, config.head_width, len(config.classes), initial_size, config.partial_addition)

    def forward(
        self,
        voxels: SparseTensor,
        pruning: Pruning,
        lap: Callable[[str], None] = lambda _: None,
    ) -> list[LevelOutput]:
        """Voxels to the predictions of the levels that pruning left, coarse to fine; see `Head.forward`."""
        levels = self.backbone(voxels)
        lap("backbone")
        return self.head(levels, pruning, lap)
