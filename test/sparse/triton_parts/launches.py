"""Run by test_triton.py under TRITON_INTERPRET=1: a cloud takes few launches on a GPU.

Triton's kernels are launched for real and counted; of torch, the operations that would launch something are counted.
"""

from collections import Counter

import torch
from waits import Launches

from dspdet3d_ros.detector import best_cells as candidates
from dspdet3d_ros.detector.best_cells import best_cells
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import LEVELS
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.preprocess import usable_points, voxelise
from dspdet3d_ros.detector.pruning import Pruning
from dspdet3d_ros.sparse import convolution, coords, folded, tensor
from dspdet3d_ros.sparse.triton import kernels, plan
from dspdet3d_ros.sparse.triton.triton_engine import TritonEngine

#: Of operations of torch and kernels of Triton; and of kernels, of which sorting takes several.
MOST_LAUNCHES, MOST_KERNELS = 300, 400
# The layers of the default model.
MODEL = ModelConfig(
    classes=("a", "b"),
    voxel_size=0.05,
    widths=(16,) * 4,
    blocks=(2,) * 4,
    head_width=16,
    postprocessing="fused",
    nms_across_classes=True,
)


class FirstTwo(Pruning):
    max_cells = 1_000_000

    def keep(self, cells, prune_logits):
        return torch.arange(len(cells)) < 2


class Counted:
    def __init__(self, kernel, seen):
        self.kernel, self.seen = kernel, seen

    def __getitem__(self, grid):
        def launch(*args, **kwargs):
            self.seen[self.kernel.__name__] += 1
            # What the interpreter does is no launch.
            Launches.counting = False
            try:
                self.kernel[grid](*args, **kwargs)
            finally:
                Launches.counting = True

        return launch


def test_a_cloud_takes_few_launches(monkeypatch):
    for module in (convolution, coords, candidates, tensor):
        monkeypatch.setattr(module, "synchronises", lambda _: True)
    seen = Counter()
    monkeypatch.setattr(kernels, "masked_gemm", Counted(kernels.masked_gemm, seen))
    for name in ("find_neighbours", "list_offsets"):
        monkeypatch.setattr(plan, name, Counted(getattr(plan, name), seen))
    engine = TritonEngine("cpu")
    torch.manual_seed(0)
    network, xyz = folded(DSPDet3D(MODEL).eval(), engine.storage), (torch.rand(40, 3) * 0.4).numpy()

    def find():
        points = usable_points(xyz, torch.device("cpu"), MODEL.voxel_size, 10_000)
        outputs = network(voxelise(points.xyz, MODEL.voxel_size, engine, above_ground=True), FirstTwo())
        boxes, scores, _ = best_cells(outputs, MODEL)
        return outputs, torch.cat([boxes, scores], 1)

    with torch.no_grad():
        find()  # constants go to the device once
        seen.clear()
        with Launches() as launches:
            outputs, _ = find()
    assert len(outputs) == LEVELS
    assert seen["masked_gemm"] == 32
    # One more: the transfer of boxes and scores.
    assert launches.operations + seen.total() + 1 <= MOST_LAUNCHES, (seen, launches.names.most_common())
    assert launches.number + seen.total() + 1 <= MOST_KERNELS, (seen, launches.names.most_common())
