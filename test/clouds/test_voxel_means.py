"""Means of voxels: by hand, for clouds near and far apart, and for none."""

import numpy as np
import pytest

from dspdet3d_ros.clouds.voxel_means import voxel_means


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_points_are_averaged_over_voxels(far: float):
    xyz = np.array([[0.001, 0.001, 0.001], [0.003, 0.001, 0.001], [-0.001, 0, 0], [far + 0.5, 2.0, 3.0]])
    voxels = voxel_means(xyz, 0.01)
    np.testing.assert_array_equal(voxels.counts, [1, 2, 1])
    np.testing.assert_array_equal(voxels.of, [1, 1, 0, 2])
    np.testing.assert_array_equal(voxels.cells[:2], [[-1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(voxels.means, [[-0.001, 0, 0], [0.002, 0.001, 0.001], [far + 0.5, 2, 3]])


def test_both_ways_give_the_same_voxels():
    xyz = np.random.default_rng(0).normal(0, 0.05, (2000, 3))
    near, far = voxel_means(xyz, 0.01), voxel_means(np.vstack([xyz, [[1e5, 0, 0]]]), 0.01)
    for field in ("cells", "counts", "means"):
        np.testing.assert_array_equal(getattr(near, field), getattr(far, field)[:-1])
    np.testing.assert_array_equal(near.of, far.of[:-1])


def test_no_points_give_no_voxels():
    voxels = voxel_means(np.empty((0, 3)), 0.01)
    assert len(voxels.cells) == len(voxels.of) == len(voxels.counts) == len(voxels.means) == 0
