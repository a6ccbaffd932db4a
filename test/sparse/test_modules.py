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
    make_engine,
)


def tensor(count=200, channels=4, stride=4):
    coords = torch.randint(-5, 5, (count, 4), generator=torch.Generator().manual_seed(1)) * stride
    coords[:, 0] = 0
    cells, _ = CoordinateSet.from_coordinates(coords, stride)
    return SparseTensor(torch.randn(len(cells), channels), cells, TorchEngine())


@pytest.mark.parametrize(
    "conv", [SparseConv(4, 6), SparseConv(4, 6, 1, 2), GenerativeUpConv(4, 6)], ids=lambda c: str(c)
)
def test_folded_batch_norm_equals_the_two_steps(conv):
    norm = BatchNorm(6).eval()
    torch.nn.init.normal_(norm.bn.weight)
    torch.nn.init.normal_(norm.bn.running_mean)
    torch.nn.init.uniform_(norm.bn.running_var, 0.5, 2)
    x = tensor()
    wanted = torch.relu(norm(conv(x)).features).detach()
    with torch.no_grad():
        torch.testing.assert_close(conv_norm(conv, norm, x, relu=True).features, wanted, rtol=1e-4, atol=1e-5)


def test_folding_follows_changed_weights():
    block, x = ConvNormReLU(SparseConv(4, 4)).eval(), tensor()
    with torch.no_grad():
        before = block(x).features
        block[0].kernel *= 2
        torch.testing.assert_close(block(x).features, 2 * before)
        block.load_state_dict(
            {name: value / 2 if "kernel" in name else value for name, value in block.state_dict().items()}
        )
        torch.testing.assert_close(block(x).features, before)


def test_batch_norm_survives_a_single_row_in_training():
    norm, x = BatchNorm(4).train(), tensor()
    one = x.select(torch.arange(len(x)) == 0)
    assert torch.isfinite(norm(one).features).all()


def test_partial_addition_brings_no_new_coordinates():
    x = tensor()
    mask = torch.arange(len(x)) % 3 == 0
    part = x.select(mask)
    torch.testing.assert_close(x.add_where_present(part).features[mask], 2 * x.features[mask])
    torch.testing.assert_close(x.add_where_present(part).features[~mask], x.features[~mask])
    assert part.add_where_present(x).coords is part.coords
    torch.testing.assert_close(part.add_where_present(x).features, 2 * part.features)


def test_interpolation_is_exact_on_cells_and_linear_between():
    coords = torch.tensor([[0, 0, 0, 0], [0, 4, 0, 0]])
    cells, _ = CoordinateSet.from_coordinates(coords, 4)
    x = SparseTensor(torch.tensor([[1.0], [3.0]]), cells, TorchEngine())
    places = torch.tensor(
        [[0, 0, 0, 0], [0, 4, 0, 0], [0, 1, 0, 0], [0, 2, 2, 0], [0, 0, 0, 100], [1, 0, 0, 0]]
    ).float()
    torch.testing.assert_close(x.interpolate(places)[:, 0], torch.tensor([1.0, 3.0, 1.5, 1.0, 0.0, 0.0]))


def test_an_unknown_backend_is_named():
    with pytest.raises(InputError, match="'fast'"):
        make_engine("fast")
