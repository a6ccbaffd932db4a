import pytest
import torch

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse import (
    BatchNorm,
    ConvNormReLU,
    CoordinateSet,
    GenerativeUpConv,
    SparseConv,
    SparseTensor,
    TorchEngine,
    conv_norm,
    folded,
    make_engine,
)
from dspdet3d_ros.sparse import tensor as tensor_module


def tensor(count=200, channels=4, stride=4, seed=1, backend="torch"):
    coords = torch.randint(-5, 5, (count, 4), generator=torch.Generator().manual_seed(seed)) * stride
    coords[:, 0] = 0
    cells, _ = CoordinateSet.from_coordinates(coords, stride)
    return SparseTensor(torch.randn(len(cells), channels), cells, make_engine(backend))


@pytest.mark.parametrize(
    "conv", [SparseConv(4, 6), SparseConv(4, 6, 1, 2), GenerativeUpConv(4, 6)], ids=lambda c: str(c)
)
def test_folded_batch_norm_equals_the_two_steps(conv):
    norm = BatchNorm(6).eval()
    randomised(norm)
    x = tensor()
    wanted = torch.relu(norm(conv(x)).features).detach()
    with torch.no_grad():
        torch.testing.assert_close(conv_norm(conv, norm, x, relu=True).features, wanted, rtol=1e-4, atol=1e-5)


def randomised(norm):
    torch.nn.init.normal_(norm.bn.weight)
    torch.nn.init.normal_(norm.bn.running_mean)
    torch.nn.init.uniform_(norm.bn.running_var, 0.5, 2)


def block_of(seed=0):
    torch.manual_seed(seed)
    block = ConvNormReLU(SparseConv(4, 4)).eval()
    randomised(block[1])
    return block


def averaged(block):
    """As averaging code writes: through `.data`, which leaves no trace in the version counters."""
    for mine, other in zip(block.parameters(), block_of(1).parameters(), strict=True):
        mine.data.mul_(0.5).add_(other.data, alpha=0.5)


def recalibrated(block):
    """A forward pass in training mode changes the running statistics."""
    block.train()(tensor(stride=8))
    block.eval()


def loaded(block):
    block.load_state_dict(block_of(1).state_dict())


def scaled(block):
    block[0].kernel *= 2


def replaced(block):
    block[0].kernel = torch.nn.Parameter(block[0].kernel * 2)


def statistics_replaced(block):
    block[1].bn.running_mean.data = block[1].bn.running_mean + 1


@pytest.mark.parametrize("backend", ["torch", "auto"])
@pytest.mark.parametrize("change", [averaged, recalibrated, loaded, scaled, replaced, statistics_replaced])
def test_a_network_computes_with_the_weights_that_it_has_now(change, backend):
    block, x = block_of(), tensor(backend=backend)
    with torch.no_grad():
        before = block(x).features
        change(block)
        after = block(x).features
    wanted = torch.relu(block[1](block[0](x)).features.detach())
    torch.testing.assert_close(after, wanted, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-3)


def test_a_network_of_another_type_computes_with_that_type():
    block, x = block_of(), tensor()
    with torch.no_grad():
        single = block(x).features
        double = block.double()(x.with_features(x.features.double())).features
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=1e-4, atol=1e-5)


def test_a_folded_copy_computes_the_same_and_stays_as_it_is():
    block, x = block_of(), tensor()
    copy = folded(block)
    with torch.no_grad():
        wanted = block(x).features
        torch.testing.assert_close(copy(x).features, wanted)
        averaged(block)
        torch.testing.assert_close(copy(x).features, wanted)
        assert not torch.allclose(block(x).features, wanted, atol=1e-3)
    assert not any(isinstance(module, BatchNorm) for module in copy.modules())
    assert any(isinstance(module, BatchNorm) for module in block.modules())


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_a_folded_copy_computes_with_the_weights_that_it_has_now(backend):
    copy, x = folded(block_of()), tensor(backend=backend)
    with torch.no_grad():
        before = copy(x).features
        for parameter in copy.parameters():
            parameter.data.mul_(2)
        torch.testing.assert_close(copy(x).features, 2 * before)
        double = copy.double()(x.with_features(x.features.double())).features
    torch.testing.assert_close(double.float(), 2 * before, rtol=1e-4, atol=1e-5)


def test_a_folded_copy_of_another_type_takes_features_of_any_type():
    block, x = block_of(), tensor()
    with torch.no_grad():
        wanted = block(x).features
        copy = folded(block, torch.bfloat16)
        assert copy[0].kernel.dtype == torch.bfloat16
        found = copy(x).features
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=2e-2, atol=5e-2)


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_gradients_with_frozen_statistics_are_those_of_the_two_steps(backend):
    block, x, residual = block_of(), tensor(backend=backend), tensor(seed=1)
    direction, gradients = torch.randn(len(x), 4), []
    for joined in (True, False):
        block.zero_grad()
        features, added = x.features.clone().requires_grad_(), residual.features.clone().requires_grad_()
        inputs, other = x.with_features(features), x.with_features(added)
        if joined:
            out = conv_norm(*block, inputs, residual=other, relu=True).features
        else:
            out = torch.relu(block[1](block[0](inputs)).features + added)
        out.backward(direction)
        gradients.append([features.grad, added.grad, *(parameter.grad for parameter in block.parameters())])
    for found, wanted in zip(*gradients, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("backend", ["torch", "auto"])
def test_a_single_row_in_training_takes_the_running_statistics(backend):
    block, x = block_of(), tensor(backend=backend)
    one = x.select(torch.arange(len(x)) == 0)
    with torch.no_grad():
        wanted = block(one).features
    found = block.train()(one).features
    torch.testing.assert_close(found, wanted)
    found.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in block.parameters())
    assert int(block[1].bn.num_batches_tracked) == 0


def test_partial_addition_brings_no_new_coordinates():
    x = tensor()
    mask = torch.arange(len(x)) % 3 == 0
    part = x.select(mask)
    torch.testing.assert_close(x.add_where_present(part).features[mask], 2 * x.features[mask])
    torch.testing.assert_close(x.add_where_present(part).features[~mask], x.features[~mask])
    assert part.add_where_present(x).coords is part.coords
    with torch.no_grad():
        fresh = x.with_features(x.features.clone())
        torch.testing.assert_close(
            fresh.add_where_present(part, reuse=True).features, x.add_where_present(part).features
        )
    torch.testing.assert_close(part.add_where_present(x).features, 2 * part.features)


@pytest.mark.parametrize("gpu", [False, True])
def test_the_gradient_of_a_partial_addition_follows_from_its_definition(gpu, monkeypatch):
    monkeypatch.setattr(tensor_module, "synchronises", lambda _: gpu)
    x, other = tensor(count=60), tensor(count=90, seed=2)
    common = torch.isin(x.coords.keys, other.coords.keys)
    assert 0 < common.sum() < len(x)
    features = [part.features.clone().requires_grad_() for part in (x, other)]
    direction = torch.randn(len(x), 4)
    added = x.with_features(features[0]).add_where_present(other.with_features(features[1])).features
    (added * direction).sum().backward()
    rows = {key: row for row, key in enumerate(x.coords.keys.tolist())}
    wanted = torch.stack(
        [direction[rows[key]] if key in rows else torch.zeros(4) for key in other.coords.keys.tolist()]
    )
    assert torch.equal(features[0].grad, direction)
    assert torch.equal(features[1].grad, wanted)


OPERATIONS = {
    "convolution": lambda x, kernel: x.engine.convolve(x.features, kernel, x.coords, x.coords),
    "partial addition": lambda x, kernel: x.add_where_present(x).features @ kernel[0],
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradients_of_gradients_are_refused_not_wrong(operation):
    x, kernel = tensor(), torch.randn(27, 4, 4).requires_grad_()
    features = x.features.clone().requires_grad_()
    out = OPERATIONS[operation](x.with_features(features), kernel)
    (gradient,) = torch.autograd.grad(out.square().sum(), features, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_interpolation_is_exact_on_cells_and_linear_between():
    coords = torch.tensor([[0, 0, 0, 0], [0, 4, 0, 0]])
    cells, _ = CoordinateSet.from_coordinates(coords, 4)
    x = SparseTensor(torch.tensor([[1.0], [3.0]]), cells, TorchEngine())
    places = torch.tensor(
        [[0, 0, 0, 0], [0, 4, 0, 0], [0, 1, 0, 0], [0, 2, 2, 0], [0, 0, 0, 100], [1, 0, 0, 0]]
    ).float()
    torch.testing.assert_close(x.interpolate(places)[:, 0], torch.tensor([1.0, 3.0, 1.5, 1.0, 0.0, 0.0]))


@pytest.mark.parametrize("channels", [1, 3])
def test_interpolation_at_cells_of_half_the_stride_is_that_at_their_places(channels):
    x = tensor()
    x = x.with_features(torch.randn(len(x), channels))
    cells = x.coords.subset(torch.arange(0, len(x), 2)).expanded()
    torch.testing.assert_close(x.interpolate_cells(cells), x.interpolate(cells.coords.float()))


def test_an_unknown_backend_is_named():
    with pytest.raises(InputError, match="'fast'"):
        make_engine("fast")
