"""Coordinates, maps and features end with their last user, not when the garbage collector comes."""

import gc
import weakref

import pytest
import torch

from dspdet3d_ros.sparse import CoordinateSet, TorchEngine
from dspdet3d_ros.sparse.kernel_map import convolution_map, generative_map


@pytest.fixture
def without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def cells(seed=0):
    coords = torch.randint(0, 12, (300, 4), generator=torch.Generator().manual_seed(seed))
    coords[:, 0] = 0
    return CoordinateSet.from_coordinates(coords)[0]


def everything_of(fine):
    """Weak references to a set, to those made of it and to what is cached between them."""
    coarse = fine.downsampled()
    wide = coarse.expanded()
    maps = [
        convolution_map(fine, fine, 27),
        convolution_map(fine, fine, 1),
        convolution_map(fine, coarse, 27),
        generative_map(coarse, coarse.expanded()),
    ]
    maps += [one.transposed() for one in maps]
    rows = [fine.rows_of(wide), wide.rows_of(fine), fine.coords]
    return [weakref.ref(one) for one in (fine, coarse, wide, *maps, *(one.table for one in maps), *rows)]


def test_a_set_and_its_maps_die_by_reference_count_alone(without_collector):
    fine = cells()
    made = everything_of(fine)
    assert all(one() is not None for one in made[:3])
    del fine
    assert [one() for one in made if one() is not None] == []


def test_what_a_convolution_was_trained_with_dies_too(without_collector):
    fine, engine = cells(), TorchEngine()
    weight = torch.rand(27, 2, 2, requires_grad=True)
    features = torch.rand(len(fine), 2, requires_grad=True)
    engine.convolve(features, weight, fine, fine).sum().backward()
    map_of_it = weakref.ref(convolution_map(fine, fine, 27))
    assert map_of_it() is not None
    del fine
    assert map_of_it() is None


def test_a_map_is_made_once_and_never_taken_for_that_of_another_set(without_collector):
    outputs, first = cells(0), cells(1)
    assert convolution_map(first, outputs, 27) is convolution_map(first, outputs, 27)
    # Sets that take each other's place in memory, and so each other's id.
    for seed in range(2, 12):
        inputs = cells(seed)
        expected = inputs.find(outputs.keys)
        expected[expected < 0] = len(inputs)
        assert torch.equal(convolution_map(inputs, outputs, 1).table[:, 0].long(), expected)
        assert torch.equal(inputs.rows_of(outputs), inputs.find(outputs.keys))
        del inputs
