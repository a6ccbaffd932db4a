"""Run by test_triton.py under TRITON_INTERPRET=1."""

import gc
import weakref

import pytest
import torch
from random_cells import cells_of, outputs_of

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.preprocess import voxelise
from dspdet3d_ros.detector.pruning import Pruning
from dspdet3d_ros.sparse import TorchEngine, folded
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.sparse.kernel_map import kernel_map
from dspdet3d_ros.sparse.triton.plan import plan_of
from dspdet3d_ros.sparse.triton.self_check import DisagreementError, agreement, forget
from dspdet3d_ros.sparse.triton.triton_engine import TritonEngine

CPU = torch.device("cpu")


KINDS = [("same", 27, 1), ("same", 1, 4), ("down", 27, 2), ("down", 1, 2), ("up", 27, 8), ("filled", 27, 4)]


@pytest.mark.parametrize(("kind", "volume", "stride"), KINDS)
def test_plans_hold_the_pairs_of_the_kernel_map(kind, volume, stride):
    inputs = cells_of(60 if kind == "up" else 200, stride, reach=4)
    if kind == "filled":
        inputs = cells_of(10, 2 * stride, reach=2).expanded()
    outputs = inputs if kind == "filled" else outputs_of(inputs, kind)
    plan = plan_of(inputs, outputs, volume)
    assert torch.equal(plan.table[:, : len(outputs)], kernel_map(inputs, outputs, volume).by_offset)
    assert (plan.table[:, len(outputs) :] == len(inputs)).all()
    assert plan.ordered == (kind != "filled")
    ordered = plan.table[:, plan.rows] if plan.ordered else plan.table
    for height in (32, 128):
        offsets, counts = plan.tiles(height)
        for tile, count in enumerate(counts.tolist()):
            held = (ordered[:, tile * height : (tile + 1) * height] < len(inputs)).any(1).nonzero()[:, 0]
            assert offsets[tile, :count].tolist() == held.tolist()


@pytest.mark.parametrize(
    ("kind", "volume", "stride", "c_in", "c_out", "dtype", "tolerance"),
    [
        ("same", 27, 1, 32, 64, torch.float32, 1e-6),
        ("same", 27, 1, 24, 130, torch.float16, 1e-3),
        ("same", 27, 1, 130, 16, torch.float16, 1e-3),
        ("down", 27, 1, 3, 20, torch.float32, 1e-6),
        ("down", 1, 2, 16, 32, torch.float16, 1e-3),
        ("up", 27, 8, 32, 16, torch.float16, 1e-3),
        ("filled", 27, 4, 16, 16, torch.float16, 1e-3),
    ],
)
def test_outputs_equal_the_torch_engine(kind, volume, stride, c_in, c_out, dtype, tolerance):
    torch.manual_seed(1)
    inputs = cells_of(30 if kind == "up" else 150, stride, reach=4)
    if kind == "filled":
        inputs = cells_of(10, 2 * stride, reach=2).expanded()
    outputs = inputs if kind == "filled" else outputs_of(inputs, kind)
    x = torch.randn(len(inputs), c_in).to(dtype)
    w = torch.randn(volume, c_in, c_out).to(dtype)
    bias, residual = torch.randn(c_out), torch.randn(len(outputs), c_out).to(dtype)
    for epilogue in (None, Epilogue(bias, residual, relu=True)):
        expected = TorchEngine().convolve(
            x.float(),
            w.float(),
            inputs,
            outputs,
            epilogue and Epilogue(bias, residual.float(), relu=True),
        )
        found = TritonEngine(CPU, dtype).convolve(x, w, inputs, outputs, epilogue)
        assert found.dtype == dtype
        assert (found.float() - expected).norm() / expected.norm() < tolerance


NARROW = ModelConfig(classes=("a", "b"), voxel_size=0.05, widths=(16, 16, 16, 16), blocks=(1, 1, 1, 1), head_width=16)


class FirstTwo(Pruning):
    def keep(self, cells, prune_logits):
        return torch.arange(len(cells)) < 2


def predictions(network, points, engine):
    # As a detector does; the kernels are then kept in the type of the features.
    network = folded(network, engine.storage)
    assert network.backbone.conv1.kernel.dtype == torch.float32
    assert network.backbone.layer1[0].conv1.kernel.dtype == engine.storage
    voxels = voxelise(points, NARROW.voxel_size, engine)
    with torch.inference_mode():
        # A few cells a level: the interpreter takes its time.
        return network(voxels, FirstTwo())


def test_a_whole_network_in_half_precision_finds_the_boxes_of_the_torch_engine():
    torch.manual_seed(0)
    network = DSPDet3D(NARROW).eval()
    points = torch.rand(30, 3) * 0.4
    expected = predictions(network, points, TorchEngine())
    found = predictions(network, points, TritonEngine(CPU))
    assert len(found) == len(expected) == 4
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours.coords.keys, theirs.coords.keys)
        assert ours.regression.dtype == torch.float32
        assert (ours.boxes(NARROW.voxel_size) - theirs.boxes(NARROW.voxel_size)).abs().max() < 0.01
        assert (ours.logits.sigmoid() - theirs.logits.sigmoid()).abs().max() < 0.01


def test_gradients_are_those_of_the_torch_engine():
    inputs, gradients = cells_of(50, reach=4), []
    for engine in (TorchEngine(), TritonEngine(CPU)):
        torch.manual_seed(2)
        x, w = torch.randn(len(inputs), 4).requires_grad_(), torch.randn(27, 4, 5).requires_grad_()
        engine.convolve(x, w, inputs, inputs).square().sum().backward()
        gradients.append((x.grad, w.grad))
    for ours, theirs in zip(*gradients, strict=True):
        assert torch.equal(ours, theirs)


def test_plans_die_with_their_coordinates():
    inputs = cells_of(50, reach=4)
    plans = [weakref.ref(plan_of(inputs, outputs, 27)) for outputs in (inputs, inputs.downsampled())]
    gc.disable()
    try:
        del inputs
        assert [plan() for plan in plans] == [None, None]
    finally:
        gc.enable()


def test_a_plan_that_failed_for_lack_of_memory_is_made_again(monkeypatch):
    inputs, outputs = cells_of(50, reach=4), cells_of(50, reach=4).downsampled()
    sort = torch.sort

    def fail(*_, **__):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "sort", fail)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        plan_of(inputs, outputs, 27)
    monkeypatch.setattr(torch, "sort", sort)
    assert plan_of(inputs, outputs, 27).n_out == len(outputs)


def test_the_self_check_measures_an_agreement():
    forget()
    assert 0 < agreement("cpu").error < 1e-3


def test_the_self_check_finds_kernels_that_compute_something_else(monkeypatch):
    forget()
    convolve = TritonEngine.convolve
    monkeypatch.setattr(TritonEngine, "convolve", lambda *args: convolve(*args) * 1.01)
    with pytest.raises(DisagreementError, match=r"stride-1 convolution differs by 1\.0e-02 from that of plain torch"):
        agreement("cpu")
    forget()
