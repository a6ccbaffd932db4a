import numpy as np
import pytest

from dspdet3d_ros.detector.points import as_points, training_origin, usable_points
from dspdet3d_ros.errors import InputError


def test_points_that_are_not_finite_are_left_out():
    xyz = np.array([[0, 0, 0], [np.nan, 0, 0], [1, np.inf, 0], [2, 2, -np.inf], [3, 3, 3]], np.float32)
    assert usable_points(xyz, 10).tolist() == [[0, 0, 0], [3, 3, 3]]


@pytest.mark.parametrize("count", [1, 7, 99])
def test_too_many_points_are_thinned_evenly_and_repeatably(count):
    xyz = np.arange(300.0).reshape(100, 3)
    thinned = usable_points(xyz, count)
    assert len(thinned) == len(np.unique(thinned[:, 0])) == count
    assert np.array_equal(thinned, usable_points(xyz, count))
    assert thinned[0, 0] == 0


@pytest.mark.parametrize("xyz", [np.zeros(3), np.zeros((4, 2)), np.zeros((4, 3), complex), [["a"] * 3]])
def test_arrays_of_another_shape_or_type_are_refused(xyz):
    with pytest.raises(InputError, match="points"):
        as_points(xyz)


def test_the_origin_moves_with_the_cloud():
    xyz = np.random.default_rng(0).uniform(-2, 2, (5000, 3))
    shift = np.array([1e4, -2e3, 50.0])
    assert training_origin(xyz + shift) == pytest.approx(training_origin(xyz) + shift, abs=1e-8)


def test_the_origin_is_near_the_ground_despite_strays_below():
    xyz = np.random.default_rng(0).uniform(0, 1, (5000, 3))
    xyz[:10, 2] = -30
    assert 0 <= training_origin(xyz)[2] < 0.02
