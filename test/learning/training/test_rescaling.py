"""Weights for another voxel size find in a smaller cloud what they found in a larger one."""

from dataclasses import replace

import torch

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.preprocess import voxelise
from dspdet3d_ros.detector.pruning import ThresholdPruning
from dspdet3d_ros.learning.training.rescaling import for_voxel_size
from dspdet3d_ros.sparse import make_engine

LARGE = ModelConfig(
    classes=("cup", "bowl"), voxel_size=0.02, widths=(8,) * 4, blocks=(1,) * 4, head_width=8, relative_xy=True
)
SMALL = replace(LARGE, voxel_size=0.008)
RATIO = 2.5


def answers(model, state, points):
    """The boxes and the logits of all cells."""
    network = DSPDet3D(model).eval()
    network.load_state_dict(state)
    engine = make_engine("torch", torch.device("cpu"), "fp32")
    with torch.no_grad():
        voxels = voxelise(points, model.voxel_size, engine, relative_xy=True, above_ground=True)
        outputs = network(voxels, ThresholdPruning(0.0))
    boxes = torch.cat([output.boxes(model.voxel_size) for output in outputs])
    return boxes, torch.cat([output.logits for output in outputs])


def test_boxes_of_a_smaller_cloud_are_smaller_by_the_ratio_of_the_voxels():
    torch.manual_seed(0)
    state = DSPDet3D(LARGE, initial_size=0.2).state_dict()
    points = torch.rand(3000, 3, dtype=torch.float64) * torch.tensor([1.0, 0.8, 0.5])
    boxes, logits = answers(LARGE, state, points)
    smaller, same = answers(SMALL, for_voxel_size(state, RATIO), points / RATIO)
    torch.testing.assert_close(smaller, boxes / RATIO, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(same, logits, atol=1e-5, rtol=1e-4)
    unchanged = answers(SMALL, state, points / RATIO)[0]
    assert not torch.allclose(unchanged, boxes / RATIO, atol=1e-3)
