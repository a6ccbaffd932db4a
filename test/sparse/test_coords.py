import itertools

import pytest
import torch

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse.coords import (
    COORDINATE_LIMIT,
    MAX_BATCH,
    CoordinateSet,
    kernel_offsets,
    kernel_size,
    key_offset,
    pack,
    unpack,
)


def random_coords(count=400, low=-20, high=20, stride=1, batches=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.randint(low, high, (count, 3), generator=generator) * stride
    return torch.cat([torch.randint(0, batches, (count, 1), generator=generator), xyz], 1)


def as_set(coords):
    return {tuple(row) for row in coords.tolist()}


def test_keys_round_trip_at_the_limits():
    ends = (-COORDINATE_LIMIT, -1, 0, COORDINATE_LIMIT - 1)
    coords = torch.tensor([(b, *xyz) for b in (0, MAX_BATCH - 1) for xyz in itertools.product(ends, repeat=3)])
    assert torch.equal(unpack(pack(coords)), coords)
    assert (pack(coords) >= 0).all()


def test_keys_sort_like_rows():
    coords = random_coords()
    assert unpack(pack(coords).sort()[0]).tolist() == sorted(coords.tolist())


def test_key_offset_moves_a_coordinate():
    coords = random_coords()
    moved = coords + torch.tensor([0, -1, 2, -3])
    assert torch.equal(pack(coords) + key_offset(-1, 2, -3), pack(moved))


def test_duplicates_keep_the_first_row():
    coords = torch.tensor([[0, 5, 5, 5], [0, 1, 1, 1], [0, 5, 5, 5], [0, 1, 1, 1], [1, 1, 1, 1]])
    cells, rows = CoordinateSet.from_coordinates(coords)
    assert cells.coords.tolist() == [[0, 1, 1, 1], [0, 5, 5, 5], [1, 1, 1, 1]]
    assert rows.tolist() == [1, 0, 4]


@pytest.mark.parametrize("value", [COORDINATE_LIMIT, -COORDINATE_LIMIT - 1, 2**40, -(2**40)])
def test_coordinates_out_of_range_are_refused(value):
    with pytest.raises(InputError, match="coordinates"):
        CoordinateSet.from_coordinates(torch.tensor([[0, 0, value, 0]]))


@pytest.mark.parametrize("batch", [-1, MAX_BATCH])
def test_batch_out_of_range_is_refused(batch):
    with pytest.raises(InputError, match="batch"):
        CoordinateSet.from_coordinates(torch.tensor([[batch, 0, 0, 0]]))


def test_no_coordinates_make_an_empty_set_at_every_stride():
    cells, rows = CoordinateSet.from_coordinates(torch.empty(0, 4, dtype=torch.int64))
    assert len(cells) == len(rows) == len(cells.downsampled()) == len(cells.downsampled().expanded()) == 0


@pytest.mark.parametrize("stride", [1, 2, 16])
def test_downsampling_rounds_towards_minus_infinity(stride):
    coords = random_coords(stride=stride)
    cells, _ = CoordinateSet.from_coordinates(coords, stride)
    coarse = cells.downsampled()
    step = 2 * stride
    expected = {(b, *(v // step * step for v in xyz)) for b, *xyz in coords.tolist()}
    assert coarse.stride == step
    assert as_set(coarse.coords) == expected
    assert len(coarse) == len(expected)


def test_expansion_makes_the_27_finer_neighbours():
    coords = random_coords(60, stride=4)
    cells, _ = CoordinateSet.from_coordinates(coords, 4)
    fine = cells.expanded()
    steps = list(itertools.product((-2, 0, 2), repeat=3))
    expected = {(b, x + dx, y + dy, z + dz) for b, x, y, z in coords.tolist() for dx, dy, dz in steps}
    assert fine.stride == 2
    assert as_set(fine.coords) == expected
    assert len(fine) == len(expected)


def test_a_stride_leads_to_the_set_that_a_convolution_makes():
    cells, _ = CoordinateSet.from_coordinates(random_coords(60, stride=4), 4)
    assert cells.at_stride(4) is cells
    assert cells.at_stride(8) is cells.downsampled()
    assert cells.at_stride(2) is cells.expanded()
    with pytest.raises(InputError, match="stride: expected 4, its half or its double, got 16"):
        cells.at_stride(16)


def test_kernels_have_1_or_27_offsets():
    assert [len(kernel_offsets(kernel_size(volume))) for volume in (1, 27)] == [1, 27]
    with pytest.raises(InputError, match="1 or 27 kernel offsets, got 8"):
        kernel_size(8)


def test_find_answers_present_and_absent_keys():
    cells, _ = CoordinateSet.from_coordinates(random_coords())
    rows = cells.find(torch.cat([cells.keys, cells.keys.new_tensor([0, 2**62])]))
    assert rows.tolist() == [*range(len(cells)), -1, -1]


def test_batch_counts_add_up():
    cells, _ = CoordinateSet.from_coordinates(random_coords(batches=3))
    counts = cells.batch_counts(4)
    assert counts == [int((cells.coords[:, 0] == b).sum()) for b in range(4)]


def test_batch_counts_add_up_to_the_last_batch_that_there_may_be():
    cells, _ = CoordinateSet.from_coordinates(random_coords(batches=MAX_BATCH))
    counts = cells.batch_counts(MAX_BATCH)
    assert counts == [int((cells.coords[:, 0] == b).sum()) for b in range(MAX_BATCH)]
    assert counts[-1] > 0
