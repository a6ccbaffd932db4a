"""From a batch of labelled clouds to the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dspdet3d_ros.detector.head import LEVEL_OF_STRIDE, LevelOutput
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.preprocess import voxelise
from dspdet3d_ros.detector.pruning import Pruning, keep_probability
from dspdet3d_ros.learning.training.losses import diou_loss, focal_loss
from dspdet3d_ros.learning.training.targets import assign_boxes, box_levels, cell_size, keep_mask, positions
from dspdet3d_ros.learning.training.training_config import TrainingConfig
from dspdet3d_ros.sparse import Engine, SparseTensor


@dataclass(frozen=True)
class TrainSample:
    """One scene of a batch, as tensors.

    Attributes:
        points: (N, 3) float32, metres.
        boxes: (K, 6) float32, centre and size, metres.
        labels: (K,) int64 class indices.
        tau: above 0, cells are pruned as the detector does at this τ, except those that must be kept.
    """

    points: Tensor
    boxes: Tensor
    labels: Tensor
    tau: float = 0.0

    def to(self, device: torch.device) -> TrainSample:
        """The same on a device."""
        return TrainSample(self.points.to(device), self.boxes.to(device), self.labels.to(device), self.tau)


@dataclass(frozen=True)
class Losses:
    """Scalars: classification, boxes, pruning, names (already weighted)."""

    cls: Tensor
    bbox: Tensor
    keep: Tensor
    names: Tensor

    @property
    def total(self) -> Tensor:
        """Their plain sum."""
        return self.cls + self.bbox + self.keep + self.names


def batch_losses(network: DSPDet3D, batch: Sequence[TrainSample], config: TrainingConfig, engine: Engine) -> Losses:
    """Runs the network on a batch and compares with the targets."""
    scene = torch.cat([torch.full((len(s.points),), i, dtype=torch.int64) for i, s in enumerate(batch)])
    points = torch.cat([s.points for s in batch])
    model = network.config
    voxels = voxelise(
        points, model.voxel_size, engine, scene.to(points.device), model.relative_xy, above_ground=model.recenter
    )
    outputs = network(voxels, TrainingPruning(batch, config, model.voxel_size))
    return compare(outputs, batch, config, model.voxel_size)


class TrainingPruning(Pruning):
    """Prunes each scene as the detector does at the scene's own τ, except the cells that must be kept.

    Args:
        batch: the scenes.
        config: has the size of the cubes whose cells must be kept, and the most cells of a scene at a level.
        voxel_size: metres.
    """

    def __init__(self, batch: Sequence[TrainSample], config: TrainingConfig, voxel_size: float) -> None:
        self._batch, self._config, self._voxel_size = batch, config, voxel_size

    def keep(self, cells: SparseTensor, prune_logits: Tensor) -> Tensor:
        """See `Pruning.keep`."""
        probability = keep_probability(prune_logits.detach())
        mask = torch.ones(len(cells), dtype=torch.bool, device=probability.device)
        places, start = positions(cells.coords, self._voxel_size), 0
        level = LEVEL_OF_STRIDE[cells.coords.stride]
        edge = self._config.prune_cube * cell_size(level, self._voxel_size)
        for count, scene in zip(cells.coords.batch_counts(len(self._batch)), self._batch, strict=True):
            if scene.tau > 0:
                part = slice(start, start + count)
                levels = box_levels(scene.boxes, self._voxel_size)
                wanted = keep_mask(places[part], scene.boxes, levels, level, edge)
                mask[part] = wanted | (probability[part] > scene.tau)
            start += count
        return mask

    def limit(self, cells: SparseTensor, coarser: SparseTensor) -> SparseTensor:
        """Weak pruning: a scene with more than `prune_threshold` cells keeps those of the best interpolated score."""
        most = self._config.prune_threshold
        counts = cells.coords.batch_counts(len(self._batch))
        if max(counts) <= most:
            return cells
        with torch.no_grad():
            score = -coarser.interpolate(cells.coords.coords.float())[:, 0]
            mask = torch.zeros(len(cells), dtype=torch.bool, device=score.device)
            start = 0
            for count in counts:
                best = torch.topk(score[start : start + count], min(count, most), sorted=False).indices
                mask[start + best] = True
                start += count
        return cells.select(mask)


def compare(
    outputs: Sequence[LevelOutput], batch: Sequence[TrainSample], config: TrainingConfig, voxel_size: float
) -> Losses:
    """The losses of the head's outputs, all levels and scenes."""
    levels = [box_levels(scene.boxes, voxel_size) for scene in batch]
    all_boxes, all_labels = (torch.cat(parts) for parts in zip(*((s.boxes, s.labels) for s in batch), strict=True))
    zero = outputs[0].logits.sum() * 0
    cls_sum, bbox_sum, keep_sum, name_sum, positives = zero, zero, zero, zero, 0
    for output in outputs:
        cells, start, first_box = positions(output.coords, voxel_size), 0, 0
        edge = cell_size(output.level, voxel_size)
        boxes_of_cells = []
        for count, scene, level in zip(output.coords.batch_counts(len(batch)), batch, levels, strict=True):
            part = cells[start : start + count]
            box = assign_boxes(
                part, scene.boxes, level == output.level, config.assignment_cube * edge, config.positives_per_box
            )
            boxes_of_cells.append(torch.where(box >= 0, box + first_box, -1))
            if output.prune_logits is not None:
                keep = keep_mask(part, scene.boxes, level, output.level, config.prune_cube * edge)
                losses = focal_loss(output.prune_logits[start : start + count, 0], (~keep).float())
                wanted = keep.sum()
                keep_sum = keep_sum + losses.sum() / torch.where(wanted > 0, wanted, max(count, 1))
            start, first_box = start + count, first_box + len(scene.boxes)
        box = torch.cat(boxes_of_cells)
        # Once a level: on a GPU the host waits here.
        row = (box >= 0).nonzero()[:, 0]
        box = box[row]
        targets = torch.zeros_like(output.logits)
        targets[row, all_labels[box]] = 1
        cls_sum = cls_sum + focal_loss(output.logits, targets).sum()
        positives += len(row)
        if config.class_weight:
            name_sum = name_sum + functional.cross_entropy(output.logits[row], all_labels[box], reduction="sum")
        bbox_sum = bbox_sum + diou_loss(output.boxes(voxel_size, row), all_boxes[box]).sum()
    return Losses(
        cls=cls_sum / max(positives, 1),
        bbox=bbox_sum / max(positives, 1),
        keep=keep_sum / (3 * len(batch)) * config.prune_weight,
        names=name_sum / max(positives, 1) * config.class_weight,
    )
