"""From a batch of labelled clouds to the loss."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dspdet3d_ros.detector.head import LEVEL_OF_STRIDE, LevelOutput, decode_boxes
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.preprocess import voxelise
from dspdet3d_ros.detector.pruning import Pruning, keep_probability
from dspdet3d_ros.geometry import corners
from dspdet3d_ros.learning.training.losses import diou_loss, focal_loss, focal_sum
from dspdet3d_ros.learning.training.targets import SceneBoxes, assign_boxes, box_levels, keep_mask
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.learning.training.training_config import TrainingConfig
from dspdet3d_ros.sparse import CoordinateSet, Engine, SparseTensor
from dspdet3d_ros.sparse.coords import unpack

#: A class logit whose probability is 0 in float32, and in bfloat16.
_CERTAINLY_NOT = -200.0


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
    targets = Targets(batch, config, model.voxel_size)
    return compare(network(voxels, TrainingPruning(targets)), targets)


class Targets:
    """The labels of a batch, and what follows from them for the cells.

    Args:
        batch: the scenes.
        config: the recipe.
        voxel_size: metres.
    """

    def __init__(self, batch: Sequence[TrainSample], config: TrainingConfig, voxel_size: float) -> None:
        self.taus = [scene.tau for scene in batch]
        self.config = config
        self.voxel_size = voxel_size
        self.labels = torch.cat([scene.labels for scene in batch])
        boxes = torch.cat([scene.boxes for scene in batch])
        scenes = torch.arange(len(batch)).repeat_interleave(torch.tensor([len(scene.boxes) for scene in batch]))
        self.boxes = SceneBoxes(boxes, scenes.to(boxes.device), box_levels(boxes, voxel_size))
        self.ignore = [(number, scene.ignore) for number, scene in enumerate(batch) if len(scene.ignore)]

    def counts(self, cells: CoordinateSet) -> list[int]:
        """The number of cells of each scene."""
        return cells.batch_counts(len(self.taus))

    def keep(self, cells: CoordinateSet) -> Tensor:
        """(N,) mask of the N cells that must be refined; computed once per set."""
        level, cube = LEVEL_OF_STRIDE[cells.stride], self.config.prune_cube
        return cells.cached(
            ("must be refined", weakref.ref(self)),
            lambda: keep_mask(cells, self.boxes, level, self.voxel_size, cube),
        )

    def assigned(self, outputs: Sequence[LevelOutput]) -> Tensor:
        """(N,) the box that each cell of all levels learns, -1 for none."""
        levels = [(output.level, output.coords) for output in outputs]
        cube, count = self.config.assignment_cube, self.config.positives_per_box
        return assign_boxes(levels, self.boxes, self.voxel_size, cube, count)

    def ignored(self, centres: Tensor, cells: Tensor) -> Tensor:
        """(N,) whether a box's centre lies in a region to ignore of its scene.

        Args:
            centres: (N, 3) metres.
            cells: (N, 4) scene and place of the cell that predicts it.
        """
        result = torch.zeros(len(centres), dtype=torch.bool, device=centres.device)
        for scene, regions in self.ignore:
            low, high = corners(regions)
            inside = ((centres[:, None] >= low) & (centres[:, None] <= high)).all(2).any(1)
            result |= inside & (cells[:, 0] == scene)
        return result


class TrainingPruning(Pruning):
    """Prunes each scene as the detector does at the scene's own τ, except the cells that must be kept."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    def keep(self, cells: SparseTensor, prune_logits: Tensor) -> Tensor:
        """See `Pruning.keep`."""
        probability = keep_probability(prune_logits.detach())
        thresholds = torch.tensor([tau if tau > 0 else -1.0 for tau in self._targets.taus])
        counts = torch.tensor(self._targets.counts(cells.coords))
        threshold = thresholds.repeat_interleave(counts).to(probability.device)
        return self._targets.keep(cells.coords) | (probability > threshold)

    def limit(self, cells: SparseTensor, coarser: SparseTensor) -> SparseTensor:
        """Weak pruning: a scene with more than `prune_threshold` cells keeps those of the best interpolated score."""
        most = self._targets.config.prune_threshold
        counts = self._targets.counts(cells.coords)
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


def compare(outputs: Sequence[LevelOutput], targets: Targets) -> Losses:
    """The losses of the head's outputs, all levels and scenes together."""
    config, voxel_size = targets.config, targets.voxel_size
    box = targets.assigned(outputs)
    # The one place where the host waits for a GPU.
    positive = box >= 0
    row = positive.nonzero()[:, 0]
    box, positives = box[row], max(len(row), 1)
    logits, labels = torch.cat([output.logits for output in outputs]), targets.labels[box]
    regression = torch.cat([output.regression for output in outputs])
    keys = torch.cat([output.coords.keys for output in outputs])
    if targets.ignore:
        centres = decode_boxes(regression.detach(), keys, voxel_size)[:, :3]
        ignored = targets.ignored(centres, unpack(keys)) & ~positive
        # At such a logit loss and slope of a negative cell are 0.
        logits = logits.masked_fill(ignored[:, None], _CERTAINLY_NOT)
    distances = diou_loss(decode_boxes(regression[row], keys[row], voxel_size), targets.boxes.boxes[box])
    names = functional.cross_entropy(logits[row], labels, reduction="sum") if config.class_weight else 0 * logits.sum()
    return Losses(
        cls=focal_sum(logits, row, labels) / positives,
        bbox=distances.sum() / positives,
        keep=_keep_sum(outputs, targets) / (3 * len(targets.taus)) * config.prune_weight,
        names=names / positives * config.class_weight,
    )


def _keep_sum(outputs: Sequence[LevelOutput], targets: Targets) -> Tensor:
    """The losses of pruning, summed up over levels and scenes, each divided by its number of cells to keep."""
    logits = [(output.prune_logits[:, 0], output.coords) for output in outputs if output.prune_logits is not None]
    keep = torch.cat([targets.keep(cells) for _, cells in logits])
    losses = focal_loss(torch.cat([part for part, _ in logits]), (~keep).float())
    counts = [count for _, cells in logits for count in targets.counts(cells)]
    # Sums of parts, not `index_add`: that adds in any order on a GPU.
    parts = torch.stack([losses, keep.float()], 1).split(counts)
    sums, wanted = torch.stack([part.sum(0) for part in parts]).unbind(1)
    least = torch.tensor([max(count, 1) for count in counts], dtype=sums.dtype).to(sums.device)
    return (sums / torch.where(wanted > 0, wanted, least)).sum()
