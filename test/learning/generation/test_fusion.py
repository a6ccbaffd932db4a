"""Fusing points into voxels: means, majority labels, and what was seen only once."""

import numpy as np
import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.generation.fusion import MOST_POINTS, MOST_VOXELS, fuse

RNG = np.random.default_rng(0)


def test_a_voxel_holds_the_mean_and_the_majority_label():
    xyz = np.array([[0.001, 0.001, 0.001], [0.003, 0.001, 0.001], [0.005, 0.001, 0.001], [0.031, 0, 0]], np.float32)
    fused = fuse(xyz, np.array([2, 5, 5, 1]), np.array([0, 0, 1, 1]), 0.01, 1.0, RNG)
    np.testing.assert_allclose(fused.xyz, [[0.003, 0.001, 0.001], [0.031, 0, 0]], atol=1e-7)
    np.testing.assert_array_equal(fused.label, [5, 1])
    np.testing.assert_array_equal(fused.survives, [False, True, True, True])
    assert fused.sample[0] in (1, 2)
    assert fused.sample[1] == 3


def test_only_a_share_of_what_one_frame_saw_is_kept():
    xyz = np.stack([np.arange(4000) * 0.02, np.zeros(4000), np.zeros(4000)], 1).astype(np.float32)
    label = np.zeros(4000, int)
    once = fuse(xyz, label, label, 0.01, 0.15, np.random.default_rng(1))
    assert 0.12 < len(once.xyz) / 4000 < 0.18
    assert once.survives.sum() == len(once.xyz)
    twice = fuse(np.tile(xyz, (2, 1)), np.tile(label, 2), np.repeat([0, 1], 4000), 0.01, 0.15, RNG)
    assert len(twice.xyz) == 4000
    assert twice.survives.all()


def test_every_voxel_occurs_once():
    xyz = np.random.default_rng(2).uniform(-1, 1, (20000, 3)).astype(np.float32)
    fused = fuse(xyz, np.zeros(20000, int), np.zeros(20000, int), 0.1, 1.0, RNG)
    cells = np.floor(xyz / np.float32(0.1)).astype(int)
    assert len(fused.xyz) == len(np.unique(cells, axis=0))
    assert len(np.unique(np.floor(fused.xyz / np.float32(0.1)).astype(int), axis=0)) == len(fused.xyz)


def test_more_points_than_can_be_distinguished_are_refused():
    none = np.zeros(MOST_POINTS + 1, np.int8)
    with pytest.raises(InputError, match=f"{MOST_POINTS + 1} points: expected at most {MOST_POINTS}"):
        fuse(np.zeros((MOST_POINTS + 1, 3), np.float32), none, none, 0.01, 1.0, RNG)


def test_points_too_far_apart_for_their_voxels_are_refused_and_those_just_within_are_kept_apart():
    side = round(MOST_VOXELS ** (1 / 3))
    corners = (np.indices((2, 2, 2)).reshape(3, -1).T * (side - 1) + 0.5).astype(np.float32)
    number, frame = np.arange(8), np.zeros(8, int)
    assert side**3 <= MOST_VOXELS
    fused = fuse(corners, number, frame, 1.0, 1.0, RNG)
    np.testing.assert_array_equal(fused.label, number)
    np.testing.assert_array_equal(fused.xyz, corners)
    with pytest.raises(InputError, match=f"voxels of 1 m: expected at most {MOST_VOXELS}"):
        fuse(corners * 2, number, frame, 1.0, 1.0, RNG)
