"""From a batch of labelled clouds to the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dspdet3d_ros.detector.head import LEVEL_OF_STRIDE, LevelOutput, Limiter, Pruner, threshold_pruner
from dspdet3d_ros.detector.network import DSPDet3D, voxelise
from dspdet3d_ros.sparse import Engine, SparseTensor
from dspdet3d_ros.training.config import TrainingConfig
from dspdet3d_ros.training.losses import diou_loss, focal_loss
from dspdet3d_ros.training.targets import assign_boxes, box_levels, cell_size, keep_mask, positions


@dataclass(frozen=True)
class LabelledPoints:
    """One training scene.

    Attributes:
        points: (N, 3) float32, metres.
        boxes: (K, 6) float32, centre and size, metres.
        labels: (K,) int64 class indices.
    """

    points: Tensor
    boxes: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Losses:
    """Scalars: classification, boxes, pruning (already weighted)."""

    cls: Tensor
    bbox: Tensor
    keep: Tensor

    @property
    def total(self) -> Tensor:
        """Their plain sum."""
        return self.cls + self.bbox + self.keep


def batch_losses(network: DSPDet3D, batch: Sequence[LabelledPoints], config: TrainingConfig, engine: Engine) -> Losses:
    """Runs the network on a batch and compares with the targets."""
    scene = torch.cat([torch.full((len(s.points),), i, dtype=torch.int64) for i, s in enumerate(batch)])
    points = torch.cat([s.points for s in batch])
    voxels = voxelise(points, network.config.voxel_size, engine, scene.to(points.device))
    limit = row_limiter(config.prune_threshold, len(batch))
    outputs = network(voxels, training_pruner(batch, config, network.config.voxel_size), limit)
    return compare(outputs, batch, config, network.config.voxel_size)


def training_pruner(batch: Sequence[LabelledPoints], config: TrainingConfig, voxel_size: float) -> Pruner:
    """Prunes as the detector in use does, but never a cell that is to be kept; see `TrainingConfig.keep_threshold`."""
    prune = threshold_pruner(config.keep_threshold)

    def prune_unless_wanted(x: SparseTensor, keep_logits: Tensor) -> Tensor:
        mask = prune(x, keep_logits.detach())
        cells, start = positions(x.coords, voxel_size), 0
        level = LEVEL_OF_STRIDE[x.coords.stride]
        edge = config.keep_cube * cell_size(level, voxel_size)
        for count, scene in zip(x.coords.batch_counts(len(batch)), batch, strict=True):
            levels = box_levels(scene.boxes, voxel_size)
            mask[start : start + count] |= keep_mask(cells[start : start + count], scene.boxes, levels, level, edge)
            start += count
        return mask

    return prune_unless_wanted if config.keep_threshold > 0 else prune


def row_limiter(max_rows: int, batch_size: int) -> Limiter:
    """Weak pruning: a scene with more than `max_rows` cells keeps those of the best interpolated keep score."""

    def limit(x: SparseTensor, keep: SparseTensor) -> SparseTensor:
        counts = x.coords.batch_counts(batch_size)
        if max(counts) <= max_rows:
            return x
        with torch.no_grad():
            score = -keep.interpolate(x.coords.coords.float())[:, 0]
            mask = torch.zeros(len(x), dtype=torch.bool, device=score.device)
            start = 0
            for count in counts:
                best = torch.topk(score[start : start + count], min(count, max_rows), sorted=False).indices
                mask[start + best] = True
                start += count
        return x.select(mask)

    return limit


def compare(
    outputs: Sequence[LevelOutput], batch: Sequence[LabelledPoints], config: TrainingConfig, voxel_size: float
) -> Losses:
    """The losses of the head's outputs, all levels and scenes."""
    levels = [box_levels(scene.boxes, voxel_size) for scene in batch]
    zero = outputs[0].logits.sum() * 0
    cls_sum, bbox_sum, keep_sum, positives = zero, zero, zero, 0
    for output in outputs:
        cells, start = positions(output.coords, voxel_size), 0
        edge = cell_size(output.level, voxel_size)
        targets = torch.zeros_like(output.logits)
        rows, wanted = [], []
        for count, scene, level in zip(output.coords.batch_counts(len(batch)), batch, levels, strict=True):
            part = cells[start : start + count]
            box = assign_boxes(
                part, scene.boxes, level == output.level, config.assignment_cube * edge, config.positives_per_box
            )
            row = (box >= 0).nonzero()[:, 0]
            targets[start + row, scene.labels[box[row]]] = 1
            rows.append(start + row)
            wanted.append(scene.boxes[box[row]])
            if output.keep_logits is not None:
                keep = keep_mask(part, scene.boxes, level, output.level, config.keep_cube * edge)
                losses = focal_loss(output.keep_logits[start : start + count, 0], (~keep).float())
                keep_sum = keep_sum + losses.sum() / (int(keep.sum()) or max(count, 1))
            start += count
        cls_sum = cls_sum + focal_loss(output.logits, targets).sum()
        row = torch.cat(rows)
        positives += len(row)
        bbox_sum = bbox_sum + diou_loss(output.boxes(voxel_size)[row], torch.cat(wanted)).sum()
    return Losses(
        cls=cls_sum / max(positives, 1),
        bbox=bbox_sum / max(positives, 1),
        keep=keep_sum / (3 * len(batch)) * config.keep_weight,
    )
