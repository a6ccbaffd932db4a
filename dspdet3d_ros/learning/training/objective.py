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
from dspdet3d_ros.learning.training.losses import diou_loss, focal_loss, focal_sum
from dspdet3d_ros.learning.training.targets import SceneBoxes, assign_boxes, box_levels, keep_mask
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.learning.training.training_config import TrainingConfig
from dspdet3d_ros.sparse import Engine, SparseTensor


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
        self._boxes = boxes_of(batch, voxel_size)

    def keep(self, cells: SparseTensor, prune_logits: Tensor) -> Tensor:
        """See `Pruning.keep`."""
        probability = keep_probability(prune_logits.detach())
        thresholds = torch.tensor([scene.tau if scene.tau > 0 else -1.0 for scene in self._batch])
        counts = torch.tensor(cells.coords.batch_counts(len(self._batch)))
        threshold = thresholds.repeat_interleave(counts).to(probability.device)
        level = LEVEL_OF_STRIDE[cells.coords.stride]
        wanted = keep_mask(cells.coords, self._boxes, level, self._voxel_size, self._config.prune_cube)
        return wanted | (probability > threshold)

    def limit(self, cells: SparseTensor, coarser: SparseTensor) -> SparseTensor:
        """Weak pruning: a scene with more than `prune_threshold` cells keeps those of the best interpolated score."""
        most = self._config.prune_threshold
        counts = cells.coords.batch_counts(len(self._batch))
        if max(counts) <= most:
            return cells
        with torch.no_grad():
            score = -coarser.interpolate_cells(cells.coords)[:, 0]
            mask = torch.zeros(len(cells), dtype=torch.bool, device=score.device)
            start = 0
            for count in counts:
                best = torch.topk(score[start : start + count], min(count, most), sorted=False).indices
                mask[start + best] = True
                start += count
        return cells.select(mask)


def boxes_of(batch: Sequence[TrainSample], voxel_size: float) -> SceneBoxes:
    """The boxes of all scenes of a batch, in order."""
    boxes = torch.cat([scene.boxes for scene in batch])
    scenes = torch.arange(len(batch)).repeat_interleave(torch.tensor([len(scene.boxes) for scene in batch]))
    return SceneBoxes(boxes, scenes.to(boxes.device), box_levels(boxes, voxel_size))


def compare(
    outputs: Sequence[LevelOutput], batch: Sequence[TrainSample], config: TrainingConfig, voxel_size: float
) -> Losses:
    """The losses of the head's outputs, all levels and scenes."""
    boxes, all_labels = boxes_of(batch, voxel_size), torch.cat([scene.labels for scene in batch])
    zero = outputs[0].logits.sum() * 0
    cls_sum, bbox_sum, keep_sum, name_sum, positives = zero, zero, zero, zero, 0
    for output in outputs:
        cells, level = output.coords, output.level
        if output.prune_logits is not None:
            keep = keep_mask(cells, boxes, level, voxel_size, config.prune_cube)
            losses, start = focal_loss(output.prune_logits[:, 0], (~keep).float()), 0
            for count in cells.batch_counts(len(batch)):
                part = slice(start, start + count)
                wanted = keep[part].sum()
                keep_sum = keep_sum + losses[part].sum() / torch.where(wanted > 0, wanted, max(count, 1))
                start += count
        box = assign_boxes(cells, boxes, level, voxel_size, config.assignment_cube, config.positives_per_box)
        # Once a level: on a GPU the host waits here.
        row = (box >= 0).nonzero()[:, 0]
        box = box[row]
        cls_sum = cls_sum + focal_sum(output.logits, row, all_labels[box])
        positives += len(row)
        if config.class_weight:
            name_sum = name_sum + functional.cross_entropy(output.logits[row], all_labels[box], reduction="sum")
        bbox_sum = bbox_sum + diou_loss(output.boxes(voxel_size, row), boxes.boxes[box]).sum()
    return Losses(
        cls=cls_sum / max(positives, 1),
        bbox=bbox_sum / max(positives, 1),
        keep=keep_sum / (3 * len(batch)) * config.prune_weight,
        names=name_sum / max(positives, 1) * config.class_weight,
    )
