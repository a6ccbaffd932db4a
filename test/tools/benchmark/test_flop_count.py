"""The reported multiply-adds are those that the convolutions of a run need, counted cell by cell."""

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.sparse.coords import kernel_offsets, kernel_size
from dspdet3d_ros.sparse.kernel_map import KernelMap
from dspdet3d_ros.tools.benchmark.flop_count import count_flops, map_milliseconds

TAU = 0.5


@pytest.fixture(scope="module")
def flops(detector, tiny_cloud):
    return count_flops(detector, np.load(tiny_cloud), replace(detector.default_settings(), pruning_threshold=TAU))


def counted_pairs(convolution):
    """A slow count by the definition: the inputs that the kernel reaches from each output."""
    inputs = {tuple(row) for row in convolution.inputs.coords.tolist()}
    fine = min(convolution.inputs.stride, convolution.outputs.stride)
    side = -1 if convolution.outputs.stride < convolution.inputs.stride else 1
    offsets = kernel_offsets(kernel_size(convolution.volume))
    steps = [tuple(side * fine * axis for axis in offset) for offset in offsets]
    return sum(
        (b, x + dx, y + dy, z + dz) in inputs
        for b, x, y, z in convolution.outputs.coords.tolist()
        for dx, dy, dz in steps
    )


def test_every_kind_of_convolution_is_counted_as_a_slow_count_does(flops):
    kinds = {convolution.kind: convolution for convolution in flops.convolutions}
    sorts = {kind.rsplit(" ", 1)[0] for kind in kinds}
    assert sorts == {"submanifold 3³", "stride 2 3³", "stride 2 1³", "generative 3³"}
    for convolution in kinds.values():
        pairs = counted_pairs(convolution)
        assert convolution.pairs == pairs > 0
        assert convolution.multiply_adds == pairs * convolution.c_in * convolution.c_out


def test_all_convolutions_of_the_network_are_recorded(flops, detector):
    backbone = [c for c in flops.convolutions if c.stage == "backbone"]
    assert len(backbone) == sum(
        module.kernel.ndim == 3 for module in detector.network.backbone.modules() if hasattr(module, "kernel")
    )
    head = {stage: [c for c in flops.convolutions if c.stage == stage] for stage in flops.head_products}
    assert {stage: len(found) for stage, found in head.items()} == {"level3": 2, "level2": 3, "level1": 3, "level0": 3}


def test_stages_add_up_to_convolutions_and_matrix_products(flops, detector, tiny_cloud):
    settings = detector.default_settings()
    found = detector(np.load(tiny_cloud), type(settings)(TAU, 0.0, 0.5))
    for cells in found.stats.levels:
        keep = detector.config.widths[cells.level] if cells.level else 0
        assert flops.head_products[f"level{cells.level}"] == cells.before * (8 * (6 + 3) + keep)
    total = sum(c.multiply_adds for c in flops.convolutions) + sum(flops.head_products.values())
    assert sum(flops.by_stage().values()) == total


def maps_alive():
    gc.collect()
    return sum(type(one) is KernelMap for one in gc.get_objects())


def test_a_count_keeps_no_kernel_maps(detector, tiny_cloud):
    before = maps_alive()
    count = count_flops(detector, np.load(tiny_cloud), detector.default_settings())
    assert count.convolutions
    assert maps_alive() == before


def test_kernel_maps_are_timed_for_every_stage_that_makes_some(flops):
    spent = map_milliseconds(flops.convolutions, torch.device("cpu"))
    assert set(spent) == {"backbone", "level2", "level1", "level0"}
    assert all(ms > 0 for ms in spent.values())


def test_the_bound_on_cells_holds_for_what_is_counted(detector, tiny_cloud):
    cloud, free = np.load(tiny_cloud), replace(detector.default_settings(), pruning_threshold=0.0)
    whole = sum(count_flops(detector, cloud, free).by_stage().values())
    bounded = count_flops(detector, cloud, replace(free, max_cells_per_level=200))
    assert sum(bounded.by_stage().values()) < whole
    finer = [one for one in bounded.convolutions if one.stage in ("level0", "level1", "level2")]
    assert max((len(one.outputs) for one in finer), default=0) <= 200


def test_what_is_counted_is_what_the_detector_computes_when_voxels_are_thinned(detector, tiny_cloud, tiny_checkpoint):
    thinned = Detector.load(checkpoint=tiny_checkpoint, device="cpu", max_voxels=100)
    cloud, settings = np.load(tiny_cloud), detector.default_settings()
    flops, whole = count_flops(thinned, cloud, settings), count_flops(detector, cloud, settings)
    assert len(flops.convolutions[0].inputs) == thinned(cloud).stats.voxels == 100
    assert sum(flops.by_stage().values()) < sum(whole.by_stage().values())


def test_without_points_there_is_no_arithmetic(detector):
    flops = count_flops(detector, np.full((5, 3), np.nan, np.float32), detector.default_settings())
    assert flops.convolutions == ()
    assert sum(flops.head_products.values()) == 0
