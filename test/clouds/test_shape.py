"""The shape of a cloud: measured on planes and boxes of which it is known."""

import numpy as np
import pytest

from dspdet3d_ros.clouds.shape import LATTICES, SAMPLE, shape_of


def grid(spacing, size=(2.0, 2.0)):
    """(N, 3) points of a level rectangle, metres."""
    x, y = (np.arange(0, edge, spacing) for edge in size)
    return np.stack([*np.meshgrid(x, y), np.zeros((len(y), len(x)))], -1).reshape(-1, 3)


def noisy(xyz, sigma=0.002):
    return xyz + np.random.default_rng(0).normal(0, sigma, xyz.shape)


@pytest.mark.parametrize("spacing", [0.005, 0.01, 0.02, 0.05, 0.4])
def test_the_distance_between_points_of_a_plane_is_measured(spacing):
    shape = shape_of(noisy(grid(spacing, (200 * spacing, 200 * spacing))))
    assert shape.spacing == pytest.approx(spacing, rel=0.35)


def test_it_does_not_depend_on_how_many_points_are_looked_at():
    small, large = (shape_of(noisy(grid(0.01, (2.0, length)))) for length in (1.5, 30.0))
    assert 2 * 150 * 100 < SAMPLE < 200 * 3000
    assert large.spacing == pytest.approx(small.spacing, rel=0.2)
    assert large.area == pytest.approx(60, rel=0.35)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_extents_leave_out_far_outliers_and_points_that_are_not_finite(kind):
    xyz = np.concatenate([noisy(grid(0.01)), [[5000, 0, 0], [np.nan, 0, 0], [np.inf, 1, 1]]]).astype(kind)
    np.testing.assert_allclose(shape_of(xyz).extent, (2, 2, 0.01), atol=0.03)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_faces_its_axis(axis):
    shape = shape_of(np.roll(noisy(grid(0.01)), axis + 1, axis=1))
    assert shape.flat_patches > 100
    np.testing.assert_allclose(shape.facing, np.eye(3)[axis], atol=0.02)
    np.testing.assert_allclose(shape.oblique, 0, atol=0.02)


def test_a_tilted_plane_faces_no_axis():
    c, s = np.cos(np.radians(35)), np.sin(np.radians(35))
    shape = shape_of(noisy(grid(0.01)) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T)
    assert shape.facing.max() < 0.02
    np.testing.assert_allclose(shape.oblique, (0, 1, 1), atol=0.02)


@pytest.mark.parametrize("edge", LATTICES)
def test_centres_of_voxels_are_known_as_such(edge):
    xyz = np.random.default_rng(1).uniform(-3, 3, (20_000, 3))
    centres = (np.floor(xyz / edge) + 0.5) * edge
    assert shape_of(centres.astype(np.float32)).lattice == edge
    assert shape_of(centres.astype(np.float32) + 100).lattice == edge
    assert shape_of(xyz).lattice == 0


def test_without_points_there_is_no_shape():
    assert shape_of(np.empty((0, 3), np.float32)) is None


HUGE = np.random.default_rng(2).uniform(-1, 1, (500, 3)) * 1e30


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("xyz", [np.zeros((200, 3)), np.ones((1, 3)), np.full((500, 3), 1e30), HUGE])
def test_clouds_without_extent_and_beyond_all_bounds_have_a_shape_too(xyz):
    shape = shape_of(xyz)
    assert np.isfinite([shape.spacing, shape.area, *shape.extent, *shape.facing]).all()
    assert shape.flat_patches == 0
