import torch

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.preprocess import voxelise
from dspdet3d_ros.detector.pruning import ThresholdPruning, keep_probability
from dspdet3d_ros.sparse import TorchEngine

CONFIG = ModelConfig(classes=("cup", "bowl"), widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1), head_width=8)


def room(count=4000, seed=0):
    points = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) * torch.tensor([2.0, 2.0, 0.02])
    return voxelise(points, CONFIG.voxel_size, TorchEngine())


def network(keep_bias=0.0):
    torch.manual_seed(0)
    net = DSPDet3D(CONFIG, initial_size=0.2).eval()
    for conv in net.head.keep_conv:
        torch.nn.init.normal_(conv.kernel, std=2.0)
        torch.nn.init.constant_(conv.bias, keep_bias)
    return net


@torch.no_grad()
def run(tau, keep_bias=0.0):
    return network(keep_bias)(room(), ThresholdPruning(tau))


def test_levels_come_coarse_to_fine_and_shrink_with_the_threshold():
    rows = []
    for tau in (0.0, 0.5, 0.9):
        outputs = run(tau)
        assert [output.level for output in outputs] == [3, 2, 1, 0][: len(outputs)]
        rows.append(sum(len(output.coords) for output in outputs))
    assert rows[0] > rows[1] > rows[2] > 0


def test_threshold_zero_keeps_cells_whose_probability_underflows():
    outputs = run(0.0, keep_bias=1000.0)
    assert float(keep_probability(outputs[0].prune_logits).max()) == 0.0
    assert [output.level for output in outputs] == [3, 2, 1, 0]
    assert all(output.kept == len(output.coords) for output in outputs)


def test_threshold_one_stops_at_the_coarsest_level():
    outputs = run(1.0)
    assert [(output.level, output.kept) for output in outputs] == [(3, 0)]


def test_kept_cells_are_those_above_the_threshold():
    for output in run(0.5)[:-1]:
        assert output.kept == int((keep_probability(output.prune_logits) > 0.5).sum())


def test_boxes_are_decoded_from_the_lower_corner_of_the_cell():
    output = run(0.9)[0]
    boxes = output.boxes(CONFIG.voxel_size)
    corner = output.coords.coords[:, 1:] * CONFIG.voxel_size
    torch.testing.assert_close(boxes[:, :3], corner + output.regression[:, :3])
    torch.testing.assert_close(boxes[:, 3:], output.regression[:, 3:].exp())


def test_parameter_names_are_the_original_ones():
    names = set(network().state_dict())
    for name in (
        "backbone.conv1.kernel",
        "backbone.norm1.bn.running_mean",
        "backbone.layer2.0.downsample.0.kernel",
        "backbone.layer2.0.downsample.1.bn.weight",
        "head.bbox_conv.bias",
        "head.keep_conv.2.kernel",
        "head.up_block_3.0.kernel",
        "head.lateral_block_0.1.bn.bias",
        "head.out_block_3.0.kernel",
    ):
        assert name in names
