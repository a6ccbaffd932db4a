"""On a GPU the host waits for the device at most once a level to compare predictions with their targets."""

from collections import Counter

import torch
from waits import Operations, Requests

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import LEVELS
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.preprocess import voxelise
from dspdet3d_ros.detector.pruning import ThresholdPruning
from dspdet3d_ros.learning.training.objective import compare
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.learning.training.training_config import TrainingConfig
from dspdet3d_ros.sparse import TorchEngine

MODEL = ModelConfig(classes=("a", "b"), voxel_size=0.02, widths=(8,) * 4, blocks=(1,) * 4, head_width=8)


def test_losses_wait_once_a_level():
    generator = torch.Generator().manual_seed(0)
    points = [torch.rand(1500, 3, generator=generator) for _ in range(2)]
    boxes = torch.tensor([[0.5, 0.5, 0.5, 0.2, 0.2, 0.2], [0.3, 0.6, 0.2, 0.4, 0.4, 0.4]])
    batch = [TrainSample(part, boxes, torch.tensor([0, 1])) for part in points]
    index = torch.arange(2).repeat_interleave(1500)
    torch.manual_seed(0)
    voxels = voxelise(torch.cat(points), MODEL.voxel_size, TorchEngine(), index)
    outputs = DSPDet3D(MODEL)(voxels, ThresholdPruning(0.0))
    for output in outputs:
        # As pruning does in training.
        output.coords.batch_counts(2)
    seen = Counter()
    with Requests(seen), Operations(seen):
        losses = compare(outputs, batch, TrainingConfig(class_weight=1.0), MODEL.voxel_size)
    assert len(outputs) == LEVELS
    assert seen == Counter(nonzero=LEVELS)
    assert float(losses.bbox.detach()) > 0
