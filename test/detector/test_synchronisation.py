"""On a GPU the host waits for the device at most eight times per cloud.

Counted on the CPU: operations whose output size depends on the data, and numbers that the host asks for, are the ones
that wait on CUDA; `synchronises` makes the CPU take the paths of a GPU.
"""

from collections import Counter

import pytest
import torch
from waits import Operations, Requests

from dspdet3d_ros.detector import best_cells as candidates
from dspdet3d_ros.detector.best_cells import best_cells
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import LEVELS
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.postprocess import select_boxes
from dspdet3d_ros.detector.preprocess import usable_points, voxelise
from dspdet3d_ros.detector.pruning import Pruning
from dspdet3d_ros.detector.result import DetectionSettings
from dspdet3d_ros.sparse import TorchEngine, convolution, coords, tensor

MOST_WAITS = 8
MODEL = ModelConfig(classes=("a", "b", "c"), voxel_size=0.02, widths=(8,) * 4, blocks=(1,) * 4, head_width=8)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    for module in (convolution, coords, candidates, tensor):
        monkeypatch.setattr(module, "synchronises", lambda _: True)


def points():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3000, 3, generator=generator) * torch.tensor([2.0, 2.0, 0.1])


class Half(Pruning):
    def keep(self, cells, prune_logits):
        return prune_logits[:, 0] > prune_logits[:, 0].mean()


def stages(seen):
    """Runs the network; what was seen in each stage."""
    torch.manual_seed(0)
    network = DSPDet3D(MODEL).eval()
    counts = {}

    def lap(name):
        counts[name] = Counter(seen)
        seen.clear()

    with torch.inference_mode(), Requests(seen), Operations(seen):
        usable = usable_points(points().numpy(), torch.device("cpu"), MODEL.voxel_size, 10_000)
        seen.pop("numpy")  # of what the host has already
        lap("points")
        voxels = voxelise(usable.xyz, MODEL.voxel_size, TorchEngine(), above_ground=True)
        lap("voxelise")
        outputs = network(voxels, Half(), lap)
        best = best_cells(outputs, MODEL)[:2]
        lap("best cells")
    return outputs, best, counts


def test_at_most_eight_a_cloud(as_on_a_gpu):
    outputs, _, counts = stages(Counter())
    assert len(outputs) == LEVELS
    assert all(output.kept < len(output.coords) for output in outputs if output.level)
    # The boxes and scores go to the host once more.
    assert sum(count.total() for count in counts.values()) + 1 <= MOST_WAITS, counts
    for stage in ("points", "voxelise", "level3", "level2", "level1", "best cells"):
        assert counts[stage].total() == 1, counts
    for stage in ("backbone", "level0"):
        assert counts[stage].total() == 0, counts


def test_the_counters_see_what_waits():
    seen = Counter()
    x = torch.arange(6)
    with Requests(seen), Operations(seen):
        x[x > 2]
        (x > 2).nonzero()
        torch.unique(x)
        int(x.sum())
        x.tolist()
        x.cpu()
        x[torch.tensor([1, 2])]
    assert seen == Counter(
        {"index of a mask": 1, "nonzero": 1, "_unique2": 1, "_local_scalar_dense": 1, "tolist": 1, "cpu": 1}
    )


def test_the_paths_of_a_gpu_find_the_same(monkeypatch):
    found = []
    for gpu in (False, True):
        for module in (convolution, coords, candidates, tensor):
            monkeypatch.setattr(module, "synchronises", lambda _, gpu=gpu: gpu)
        outputs, best, _ = stages(Counter())
        selected = select_boxes(*best, DetectionSettings(0.3, 0.0, 0.5), MODEL)
        assert len(selected.boxes)
        cells = (output.coords.keys for output in outputs)
        found.append((*cells, selected.boxes, selected.scores, selected.labels))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
