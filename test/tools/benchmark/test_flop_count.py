"""The arithmetic that is reported is what the convolutions of a run need, counted cell by cell."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.sparse.coords import kernel_offsets, kernel_size
from dspdet3d_ros.tools.benchmark.flop_count import map_milliseconds, work_of

TAU = 0.5


@pytest.fixture(scope="module")
def detector(tiny_checkpoint):
    return Detector.load(checkpoint=tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def work(detector, tiny_cloud):
    return work_of(detector, np.load(tiny_cloud), replace(detector.default_settings(), pruning_threshold=TAU))


def counted_pairs(convolution):
    """Slowly, by the definition: which inputs lie where the kernel reaches from each output."""
    there = {tuple(row) for row in convolution.inputs.coords.tolist()}
    fine = min(convolution.inputs.stride, convolution.outputs.stride)
    side = -1 if convolution.outputs.stride < convolution.inputs.stride else 1
    offsets = kernel_offsets(kernel_size(convolution.volume))
    steps = [tuple(side * fine * axis for axis in offset) for offset in offsets]
    return sum(
        (b, x + dx, y + dy, z + dz) in there
        for b, x, y, z in convolution.outputs.coords.tolist()
        for dx, dy, dz in steps
    )


def test_every_kind_of_convolution_is_counted_as_a_slow_count_does(work):
    kinds = {convolution.kind: convolution for convolution in work.convolutions}
    sorts = {kind.rsplit(" ", 1)[0] for kind in kinds}
    assert sorts == {"submanifold 3³", "stride 2 3³", "stride 2 1³", "generative 3³"}
    for convolution in kinds.values():
        pairs = counted_pairs(convolution)
        assert convolution.pairs == pairs > 0
        assert convolution.multiply_adds == pairs * convolution.c_in * convolution.c_out


def test_all_convolutions_of_the_network_are_there(work, detector):
    backbone = [c for c in work.convolutions if c.stage == "backbone"]
    assert len(backbone) == sum(
        module.kernel.ndim == 3 for module in detector.network.backbone.modules() if hasattr(module, "kernel")
    )
    head = {stage: [c for c in work.convolutions if c.stage == stage] for stage in work.products}
    assert {stage: len(found) for stage, found in head.items()} == {"level3": 2, "level2": 3, "level1": 3, "level0": 3}


def test_stages_add_up_to_convolutions_and_matrix_products(work, detector, tiny_cloud):
    settings = detector.default_settings()
    found = detector(np.load(tiny_cloud), type(settings)(TAU, 0.0, 0.5))
    for cells in found.stats.levels:
        keep = detector.config.widths[cells.level] if cells.level else 0
        assert work.products[f"level{cells.level}"] == cells.before * (8 * (6 + 3) + keep)
    total = sum(c.multiply_adds for c in work.convolutions) + sum(work.products.values())
    assert sum(work.by_stage().values()) == total


def test_recording_changes_nothing_and_leaves_no_maps_behind(work):
    for convolution in work.convolutions:
        assert not convolution.inputs._cache.keys() - {"coords"}


def test_kernel_maps_are_timed_for_every_stage_that_makes_some(work):
    spent = map_milliseconds(work.convolutions, torch.device("cpu"))
    assert set(spent) == {"backbone", "level2", "level1", "level0"}
    assert all(ms > 0 for ms in spent.values())


def test_the_bound_on_cells_holds_for_what_is_counted(detector, tiny_cloud):
    cloud, free = np.load(tiny_cloud), replace(detector.default_settings(), pruning_threshold=0.0)
    whole = sum(work_of(detector, cloud, free).by_stage().values())
    bounded = work_of(detector, cloud, replace(free, max_cells_per_level=200))
    assert sum(bounded.by_stage().values()) < whole
    finer = [one for one in bounded.convolutions if one.stage in ("level0", "level1", "level2")]
    assert max((len(one.outputs) for one in finer), default=0) <= 200


def test_what_is_counted_is_what_the_detector_computes_when_voxels_are_thinned(detector, tiny_cloud, tiny_checkpoint):
    thinned = Detector.load(checkpoint=tiny_checkpoint, device="cpu", max_voxels=100)
    cloud, settings = np.load(tiny_cloud), detector.default_settings()
    work, whole = work_of(thinned, cloud, settings), work_of(detector, cloud, settings)
    assert len(work.convolutions[0].inputs) == thinned(cloud).stats.voxels == 100
    assert sum(work.by_stage().values()) < sum(whole.by_stage().values())


def test_no_points_are_no_work(detector):
    work = work_of(detector, np.full((5, 3), np.nan, np.float32), detector.default_settings())
    assert work.convolutions == ()
    assert sum(work.products.values()) == 0
