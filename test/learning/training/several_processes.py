"""Run by test_parallel_training.py under torchrun, with the name of a case and a folder: each process does this."""

import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.training.processes import join_run, leave_run
from dspdet3d_ros.learning.training.train_sample import TrainSample
from dspdet3d_ros.learning.training.trainer import Trainer
from dspdet3d_ros.learning.training.training_config import TrainingConfig

MODEL = ModelConfig(classes=("cup",), voxel_size=0.02, widths=(8,) * 4, blocks=(1,) * 4, head_width=8)
#: Of the exchange of gradients, where one takes longer. Processes on a busy computer may differ by seconds.
TIMEOUT_S = 20


def trainer_of(processes, folder, **recipe):
    config = TrainingConfig(**{"epochs": 1, "iterations": 10, "batch_size": 1, "initial_size": 0.15, **recipe})
    trainer = Trainer(MODEL, config, Path(folder), torch.device("cpu"), processes=processes)
    trainer.network.train()
    return trainer


def batch(seed):
    points = torch.rand(800, 3, generator=torch.Generator().manual_seed(seed))
    return [TrainSample(points, torch.tensor([[0.5, 0.5, 0.5, 0.2, 0.2, 0.2]]), torch.tensor([0]))]


def state_of(trainer):
    return {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}


def one_process_overflows(processes, folder, weight):
    """The second step of process 1 overflows: both processes leave it out and continue as if it had not been."""
    trainer = trainer_of(processes, folder)
    trainer.step(batch(processes.rank))
    before = state_of(trainer)
    kernel = trainer.network.backbone.conv1.kernel
    if processes.rank == 1:
        kernel.data.fill_(float(weight))
    values = trainer.step(batch(10 + processes.rank))
    kernel.data.copy_(before["backbone.conv1.kernel"])
    assert values["skipped"] == 1, values
    for name, tensor in state_of(trainer).items():
        assert torch.equal(tensor, before[name]), name
    values = trainer.step(batch(20 + processes.rank))
    assert values["skipped"] == 0, values
    assert all(torch.isfinite(tensor).all() for tensor in state_of(trainer).values())


def validation_takes_one_process_long(processes, folder):
    """Longer than an exchange of gradients may take; then training continues."""
    rng = np.random.default_rng(0)
    xyz = rng.uniform(0, 0.2, (600, 3)).astype(np.float32)
    boxes = np.float32([[0.1, 0.1, 0.1, 0.2, 0.2, 0.2]])
    scene = LabelledScene("made", "all", xyz, boxes, MODEL.classes[:1])
    trainer = trainer_of(processes, folder, epochs=2, iterations=2)
    calls = []

    def validate():
        calls.append(trainer.iteration)
        if processes.rank == 0 and trainer.iteration == 1:
            time.sleep(1.5 * TIMEOUT_S)
        return {}

    trainer.run([scene], after_epoch=validate)
    assert calls == [1, 2]


CASES = {case.__name__: case for case in (one_process_overflows, validation_takes_one_process_long)}

if __name__ == "__main__":
    torch.set_num_threads(1)
    case = CASES[sys.argv[1]]
    limit_s = TIMEOUT_S if case is validation_takes_one_process_long else 300
    all_processes, _ = join_run(torch.device("cpu"), timedelta(seconds=limit_s))
    case(all_processes, *sys.argv[2:])
    leave_run()
