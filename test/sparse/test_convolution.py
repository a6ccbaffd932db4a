"""The convolutions against sums written out by their definition."""

import pytest
import torch
from random_cells import cells_of, outputs_of

from dspdet3d_ros.sparse import CoordinateSet, TorchEngine, convolution
from dspdet3d_ros.sparse import matmul as product_module
from dspdet3d_ros.sparse.convolution import Epilogue, convolve, gather_multiply
from dspdet3d_ros.sparse.coords import kernel_offsets, kernel_size
from dspdet3d_ros.sparse.kernel_map import kernel_map
from dspdet3d_ros.sparse.matmul import product
from dspdet3d_ros.system import torch_threads


def by_definition(features, weight, inputs, outputs, kind):
    rows = {tuple(row): i for i, row in enumerate(inputs.coords.tolist())}
    step = -outputs.stride if kind == "up" else inputs.stride
    out = torch.zeros(len(outputs), weight.shape[2], dtype=features.dtype)
    for q, (b, x, y, z) in enumerate(outputs.coords.tolist()):
        for k, (dx, dy, dz) in enumerate(kernel_offsets(kernel_size(len(weight)))):
            row = rows.get((b, x + step * dx, y + step * dy, z + step * dz))
            if row is not None:
                out[q] += features[row] @ weight[k]
    return out


CASES = [("same", 27, 1), ("same", 27, 4), ("down", 27, 1), ("down", 1, 2), ("up", 27, 8)]


@pytest.mark.parametrize(("kind", "volume", "stride"), CASES)
def test_forward_follows_the_definition(kind, volume, stride):
    inputs = cells_of(120, stride)
    outputs = outputs_of(inputs, kind)
    features, weight = torch.randn(len(inputs), 5).double(), torch.randn(volume, 5, 7).double()
    out = TorchEngine().convolve(features, weight, inputs, outputs)
    torch.testing.assert_close(out, by_definition(features, weight, inputs, outputs, kind))


@pytest.mark.parametrize(("kind", "volume", "stride"), CASES)
def test_gradients_follow_from_the_definition(kind, volume, stride):
    inputs = cells_of(80, stride)
    outputs = outputs_of(inputs, kind)
    leaves = [torch.randn(len(inputs), 3).double(), torch.randn(volume, 3, 4).double()]
    direction = torch.randn(len(outputs), 4).double()
    grads = []
    for run, dtype in ((TorchEngine().convolve, torch.float32), (lambda *a: by_definition(*a, kind), torch.float64)):
        x, w = (leaf.to(dtype, copy=True).requires_grad_() for leaf in leaves)
        (run(x, w, inputs, outputs) * direction.to(dtype)).sum().backward()
        grads.append((x.grad.double(), w.grad.double()))
    for ours, wanted in zip(*grads, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("count", [0, 1, 90])
@pytest.mark.parametrize(("kind", "volume", "stride"), CASES)
def test_the_paths_of_a_gpu_give_the_same_gradients(monkeypatch, kind, volume, stride, count):
    inputs = cells_of(count, stride)
    outputs = outputs_of(inputs, kind)
    leaves, direction = (torch.randn(len(inputs), 5), torch.randn(volume, 5, 7)), torch.randn(len(outputs), 7)
    results = []
    for gpu in (False, True):
        monkeypatch.setattr(convolution, "synchronises", lambda _, gpu=gpu: gpu)
        # Several chunks of rows.
        monkeypatch.setattr(convolution, "CPU_CHUNK_ELEMENTS", 32 * volume * 5)
        features, weight = (leaf.clone().requires_grad_() for leaf in leaves)
        out = TorchEngine().convolve(features, weight, inputs, outputs)
        out.backward(direction)
        results.append((out.detach(), features.grad, weight.grad))
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_only_gradients_that_are_asked_for_are_computed(monkeypatch):
    inputs = cells_of(80, 1)
    pairs, features, weight = kernel_map(inputs, inputs, 27), torch.randn(len(inputs), 3), torch.randn(27, 3, 4)
    features.requires_grad_()
    (wanted,) = torch.autograd.grad(convolve(features, weight.clone().requires_grad_(), pairs).sum(), features)
    monkeypatch.setattr(convolution, "weight_gradient", lambda *_: pytest.fail("nobody asked for it"))
    convolve(features, weight, pairs).sum().backward()
    torch.testing.assert_close(features.grad, wanted)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("way", ["rows", "pairs"])
def test_both_ways_in_many_chunks_on_any_number_of_threads_give_the_same(threads, way, monkeypatch):
    inputs = cells_of(800, 1)
    pairs = kernel_map(inputs, inputs, 27)
    monkeypatch.setattr(convolution, "PAIR_COST_CHANNELS", 1e9 if way == "pairs" else 0)
    features, weight = torch.randn(len(inputs), 8), torch.randn(27, 8, 8)
    whole = gather_multiply(features, weight, pairs)
    gradient = convolution.weight_gradient(features, whole, pairs)
    monkeypatch.setattr(convolution, "CPU_CHUNK_ELEMENTS", 1)
    monkeypatch.setattr(convolution, "TILE_ROWS", 50)
    monkeypatch.setattr(convolution, "PAIR_COST_CHANNELS", 0 if way == "pairs" else 1e9)
    with torch_threads(threads):
        torch.testing.assert_close(gather_multiply(features, weight, pairs), whole)
        torch.testing.assert_close(convolution.weight_gradient(features, whole, pairs), gradient, rtol=1e-4, atol=1e-3)
        assert torch.get_num_threads() == threads


@pytest.mark.parametrize("inference", [False, True])
def test_epilogue_adds_bias_and_residual_then_clips(inference):
    with torch.inference_mode(inference):
        inputs = cells_of(300, 1)
        pairs = kernel_map(inputs, inputs, 27)
        features, weight = torch.randn(len(inputs), 4), torch.randn(27, 4, 6)
        bias, residual = torch.randn(6), torch.randn(len(inputs), 6)
        plain = gather_multiply(features, weight, pairs)
        fused = gather_multiply(features, weight, pairs, Epilogue(bias, residual, relu=True))
        torch.testing.assert_close(fused, torch.relu(plain + bias + residual))


def test_bfloat16_operands_give_nearly_the_same_result_and_gradients():
    inputs = cells_of(300, 1)
    pairs = kernel_map(inputs, inputs, 27)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.linspace(-1, 1, len(inputs) * 4).reshape(-1, 4).sin().requires_grad_()
        w = torch.linspace(-2, 3, 27 * 4 * 6).reshape(27, 4, 6).sin().requires_grad_()
        out = convolve(x, w, pairs, dtype)
        out.square().sum().backward()
        assert out.dtype == x.grad.dtype == w.grad.dtype == torch.float32
        results.append((out.detach(), x.grad, w.grad))
    for exact, rounded in zip(*results, strict=True):
        assert float((exact - rounded).norm() / exact.norm()) < 0.02


def test_maps_are_built_once_for_each_pair_of_sets():
    inputs = cells_of(100, 1)
    assert kernel_map(inputs, inputs, 27) is kernel_map(inputs, inputs, 27)
    assert kernel_map(inputs, inputs.downsampled(), 27) is kernel_map(inputs, inputs.downsampled(), 27)
    assert inputs.downsampled() is inputs.downsampled()


@pytest.mark.parametrize("kind", ["same", "down", "up"])
def test_the_transposed_map_leads_back(kind):
    inputs = cells_of(100, 4)
    pairs = kernel_map(inputs, outputs_of(inputs, kind), 27)
    there = {(k, int(i), q) for q, row in enumerate(pairs.table) for k, i in enumerate(row) if i < pairs.n_in}
    back = pairs.transposed()
    again = {(k, p, int(o)) for p, row in enumerate(back.table) for k, o in enumerate(row) if o < back.n_in}
    assert there == again
    assert len(there) == pairs.pairs()


def test_an_empty_set_convolves_to_nothing():
    inputs = CoordinateSet(torch.empty(0, dtype=torch.int64), 4)
    for outputs in (inputs, inputs.downsampled(), inputs.expanded()):
        assert TorchEngine().convolve(torch.empty(0, 3), torch.randn(27, 3, 5), inputs, outputs).shape == (0, 5)


@pytest.mark.parametrize("kind", ["same", "down", "up"])
def test_pairs_ascend_in_sources_and_targets(kind):
    inputs = cells_of(300, 4)
    for sources, targets in kernel_map(inputs, outputs_of(inputs, kind), 27).pair_lists:
        assert (sources.diff() > 0).all()
        assert (targets.diff() > 0).all()


def test_where_onednn_finds_no_memory_for_its_kernel_the_product_is_made_all_the_same(monkeypatch):
    def fail(*_):
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(product_module, "LINEAR", fail)
    rows, weight = torch.randn(5, 3), torch.randn(3, 4)
    torch.testing.assert_close(product(rows, weight), rows @ weight)


def test_products_of_rows_are_float32_exact():
    rows, weight = torch.randn(700, 64), torch.randn(64, 33)
    exact = rows.double() @ weight.double()
    assert float((product(rows, weight) - exact).norm() / exact.norm()) < 1e-6
