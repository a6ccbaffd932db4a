"""On a GPU a training step launches few operations, and the host waits for the device few times."""

from collections import Counter
from dataclasses import replace

import torch
from waits import Launches, Operations, Requests

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import LEVELS
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.preprocess import voxelise
from dspdet3d_ros.detector.pruning import ThresholdPruning
from dspdet3d_ros.learning.training.objective import batch_losses, compare
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.learning.training.training_config import TrainingConfig
from dspdet3d_ros.sparse import TorchEngine, convolution, coords, tensor

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


def test_a_step_has_few_operations_and_waits(monkeypatch):
    """Each operation of torch is about one launch on a GPU; the model has the layers of the default one."""
    for module in (convolution, coords, tensor):
        monkeypatch.setattr(module, "synchronises", lambda _: True)
    generator = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[0.5, 0.5, 0.5, 0.2, 0.2, 0.2], [0.3, 0.6, 0.2, 0.4, 0.4, 0.4]])
    batch = [
        TrainSample(torch.rand(400, 3, generator=generator), boxes, torch.tensor([0, 1]), tau) for tau in (0, 0, 0.3)
    ]
    torch.manual_seed(0)
    network, config = DSPDet3D(replace(MODEL, blocks=(2,) * 4)).train(), TrainingConfig(class_weight=1.0)
    seen, counts = Counter(), {}
    with Requests(seen), Operations(seen), Launches() as launches:
        losses = batch_losses(network, batch, config, TorchEngine())
        counts["forward"] = launches.number, seen.total()
        losses.total.backward()
    counts["step"] = launches.number, seen.total()
    assert counts["step"][0] <= 3400, (counts, launches.names.most_common(40))
    assert counts["step"][1] <= 40, (counts, seen)
