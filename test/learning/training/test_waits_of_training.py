"""On a GPU a training step launches few operations, and the host waits for the device few times."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from waits import Launches, Operations, Requests

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import LEVELS
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.preprocess import voxelise
from dspdet3d_ros.detector.pruning import ThresholdPruning
from dspdet3d_ros.learning.training.objective import Targets, compare
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.learning.training.trainer import Trainer
from dspdet3d_ros.learning.training.training_config import TrainingConfig
from dspdet3d_ros.sparse import TorchEngine, convolution, coords, tensor

MODEL = ModelConfig(classes=("a", "b"), voxel_size=0.02, widths=(8,) * 4, blocks=(1,) * 4, head_width=8)


MOST_LAUNCHES, MOST_WAITS = 2500, 40
BOXES = torch.tensor([[0.5, 0.5, 0.5, 0.2, 0.2, 0.2], [0.3, 0.6, 0.2, 0.4, 0.4, 0.4]])


def test_losses_wait_once():
    generator = torch.Generator().manual_seed(0)
    points = [torch.rand(1500, 3, generator=generator) for _ in range(2)]
    batch = [TrainSample(part, BOXES, torch.tensor([0, 1])) for part in points]
    index = torch.arange(2).repeat_interleave(1500)
    torch.manual_seed(0)
    voxels = voxelise(torch.cat(points), MODEL.voxel_size, TorchEngine(), index)
    outputs = DSPDet3D(MODEL)(voxels, ThresholdPruning(0.0))
    for output in outputs:
        # As pruning does in training.
        output.coords.batch_counts(2)
    seen = Counter()
    with Requests(seen), Operations(seen):
        losses = compare(outputs, Targets(batch, TrainingConfig(class_weight=1.0), MODEL.voxel_size))
    assert len(outputs) == LEVELS
    assert seen == Counter(nonzero=1)
    assert float(losses.bbox.detach()) > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_has_few_launches_and_waits(monkeypatch, tmp_path, dtype):
    """The whole step, from the batch on the host to the averaged weights; the layers are those of the default model."""
    for module in (convolution, coords, tensor):
        monkeypatch.setattr(module, "synchronises", lambda _: True)
    generator = torch.Generator().manual_seed(0)
    batch = [
        TrainSample(torch.rand(400, 3, generator=generator), BOXES, torch.tensor([0, 1]), tau) for tau in (0, 0, 0.3)
    ]
    config = TrainingConfig(class_weight=1.0, iterations=100, epochs=1, ema_decay=0.99)
    trainer = Trainer(replace(MODEL, blocks=(2,) * 4), config, tmp_path, torch.device("cpu"))
    trainer.engine = TorchEngine(dtype)
    assert trainer.step(batch)["skipped"] == 0
    seen = Counter()
    with Requests(seen), Operations(seen), Launches() as launches:
        trainer.step(batch)
    assert 1000 < launches.number <= MOST_LAUNCHES, launches.names.most_common(40)
    assert seen.total() <= MOST_WAITS, seen
