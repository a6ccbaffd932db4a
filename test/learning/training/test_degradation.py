"""Degraded clouds keep their objects and get the faults that they are named after."""

from dataclasses import replace

import numpy as np
import pytest
from labelled_table import scene_of, table

from dspdet3d_ros.learning.training.degradation import averaged, degraded, doubled, noisy, with_gaps, with_shards

CHANGES = [doubled, noisy, with_gaps, with_shards, averaged, degraded]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", range(4))
def test_every_object_keeps_its_box_and_some_points_near_it(change, seed):
    scene = table()
    after = change(scene, np.random.default_rng(seed))
    np.testing.assert_array_equal(after.boxes, scene.boxes)
    assert len(after.inst) == len(after.xyz)
    assert after.xyz.dtype == np.float32
    assert set(np.unique(after.inst)) == {0, 1, 2, 3}
    for number, box in enumerate(after.boxes, start=1):
        assert (np.abs(after.xyz[after.inst == number] - box[:3]) < box[3:] / 2 + 0.05).all()


@pytest.mark.parametrize("seed", range(4))
def test_shards_leave_objects_alone_and_background_in_part(seed):
    scene = table()
    after = with_shards(scene, np.random.default_rng(seed))
    assert (after.inst > 0).sum() == (scene.inst > 0).sum()
    assert 0.1 < (after.inst == 0).sum() / (scene.inst == 0).sum() < 0.95


@pytest.mark.parametrize("seed", range(6))
def test_averaging_leaves_one_point_in_each_voxel(seed):
    # Points of a 3 cm cube: it has at most seven voxels of 5 mm along each axis.
    xyz = np.random.default_rng(9).uniform(0, 0.03, (4000, 3)).astype(np.float32)
    scene = scene_of(xyz, np.ones(4000, np.int32), np.float32([[0.015] * 3 + [0.03] * 3]), (0,))
    after = averaged(scene, np.random.default_rng(seed))
    assert 8 <= len(after.xyz) <= 7**3
    assert np.abs(after.xyz.mean(0) - 0.015).max() < 0.01
    assert (after.inst == 1).all()


def test_gaps_make_scan_lines():
    scene = table()
    kept = [len(with_gaps(scene, np.random.default_rng(seed)).xyz) / len(scene.xyz) for seed in range(8)]
    assert 0.3 < min(kept) <= max(kept) < 0.9


@pytest.mark.parametrize("seed", range(4))
def test_a_scale_makes_all_changes_finer(seed):
    scene = table()
    small = replace(scene, xyz=scene.xyz / 4)
    coarse, fine = degraded(scene, np.random.default_rng(seed)), degraded(small, np.random.default_rng(seed), 0.25)
    np.testing.assert_allclose(fine.xyz * 4, coarse.xyz, atol=1e-5)
    np.testing.assert_array_equal(fine.inst, coarse.inst)
