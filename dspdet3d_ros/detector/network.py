"""The whole network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dspdet3d_ros.detector.backbone import Backbone
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import Head, LevelOutput, Limiter, Pruner
from dspdet3d_ros.sparse import Engine, SparseTensor


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
        prune: Pruner,
        limit: Limiter | None = None,
        lap: Callable[[str], None] = lambda _: None,
        max_cells: int | None = None,
    ) -> list[LevelOutput]:
        """Voxels to the predictions of the levels that pruning left, coarse to fine; see `Head.forward`."""
        levels = self.backbone(voxels)
        lap("backbone")
        return self.head(levels, prune, limit, lap, max_cells)


def voxelise(
    points: Tensor, voxel_size: float, engine: Engine, batch: Tensor | None = None, plan_invariant: bool = False
) -> SparseTensor:
    """Points to one voxel each `floor(xyz / s)`; its feature is the xyz of its first point.

    Args:
        points: (N, 3) float32 metres, in the frame that the network was trained in.
        voxel_size: s, metres.
        engine: what computes the convolutions.
        batch: (N,) scene index of each point, 0 if not given.
        plan_invariant: x and y of the feature count from the voxel's corner, z as it is; see `ModelConfig`.

    Returns:
        A tensor of stride 1 with 3 channels.

    Raises:
        InputError: a point is too far from the origin.
    """
    cells = torch.floor(points / voxel_size).clamp(-(2.0**40), 2.0**40).long()
    index = points.new_zeros(len(points), dtype=torch.int64) if batch is None else batch
    coords, rows = engine.coordinate_set.from_coordinates(torch.cat([index[:, None], cells], 1))
    features = points[rows]
    if plan_invariant:
        corner = coords.coords[:, 1:3].to(points.dtype) * voxel_size
        features = torch.cat([features[:, :2] - corner, features[:, 2:]], 1)
    return SparseTensor(features, coords, engine)
