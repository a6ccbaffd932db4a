"""Transforms of a recording: chains, interpolation, and what is said where there is none."""

import numpy as np
import pytest

from dspdet3d_ros.geometry import interpolate, quaternion_of, rotate
from dspdet3d_ros.mapping.frame import pose_from_quaternion
from dspdet3d_ros.recordings.transforms import TransformError, Transforms

SECOND = 10**9


def pose(angle=0.0, *place):
    matrix = np.eye(4)
    matrix[:3, :3] = rotate("z", angle)
    matrix[:3, 3] = place or (0, 0, 0)
    return matrix


def test_a_chain_of_moving_and_fixed_frames_is_multiplied():
    tree = Transforms()
    tree.add("map", "odom", 0, pose(0.0, 1, 0, 0), fixed=True)
    tree.add("odom", "base", SECOND, pose(np.pi / 2, 0, 2, 0))
    tree.add("base", "camera", 0, pose(0.0, 0, 0, 3), fixed=True)
    found = tree.find("map", "camera", SECOND)
    assert found @ [1, 0, 0, 1] == pytest.approx([1, 3, 3, 1])
    assert tree.find("camera", "map", SECOND) == pytest.approx(np.linalg.inv(found))
    assert tree.find("map", "map", 5) == pytest.approx(np.eye(4))
    assert tree.find("/map", "/odom", 5) == pytest.approx(pose(0.0, 1, 0, 0))


def test_siblings_meet_in_their_parent():
    tree = Transforms()
    tree.add("base", "left", 0, pose(0.0, 0, 1, 0), fixed=True)
    tree.add("base", "right", 0, pose(0.0, 0, -1, 0), fixed=True)
    assert tree.find("left", "right", 0)[:3, 3] == pytest.approx([0, -2, 0])


def test_between_two_times_the_pose_is_interpolated():
    tree = Transforms()
    tree.add("odom", "base", SECOND, pose(0.0, 0, 0, 0))
    tree.add("odom", "base", 3 * SECOND, pose(1.0, 2, 0, 0))
    assert tree.find("odom", "base", 2 * SECOND) == pytest.approx(pose(0.5, 1, 0, 0))
    assert tree.find("odom", "base", 3 * SECOND) == pytest.approx(pose(1.0, 2, 0, 0))


def test_over_a_gap_that_is_too_long_nothing_is_interpolated():
    tree = Transforms(most_gap_ns=SECOND)
    for time in (1, 2, 4):
        tree.add("odom", "base", time * SECOND, pose(0.0, time, 0, 0))
    assert tree.find("odom", "base", SECOND * 3 // 2) == pytest.approx(pose(0.0, 1.5, 0, 0))
    assert tree.find("odom", "base", SECOND * 21 // 10, SECOND // 5) == pytest.approx(pose(0.0, 2, 0, 0))
    with pytest.raises(TransformError, match=r"at 3.000 s: there is none from 2.000 s to 4.000 s"):
        tree.find("odom", "base", 3 * SECOND, SECOND // 5)


@pytest.mark.parametrize(("second", "said"), [(0.5, "the first is of 1.000 s"), (3.5, "the last is of 3.000 s")])
def test_there_is_no_extrapolation(second, said):
    tree = Transforms()
    for time in (1, 3):
        tree.add("odom", "base", time * SECOND, pose())
    with pytest.raises(TransformError, match=said):
        tree.find("odom", "base", int(second * SECOND))


def test_frames_that_are_not_connected_are_named_with_those_that_are_known():
    tree = Transforms()
    tree.add("odom", "base", 0, pose(), fixed=True)
    with pytest.raises(TransformError, match=r"from 'camera' to 'odom'.*known frames: base, odom"):
        tree.find("odom", "camera", 0)


def test_old_poses_are_forgotten():
    tree = Transforms(memory_ns=10 * SECOND)
    for second in range(100):
        tree.add("odom", "base", second * SECOND, pose(0.0, second, 0, 0))
    assert tree.find("odom", "base", 90 * SECOND)[0, 3] == 90
    with pytest.raises(TransformError, match="the first is of 89"):
        tree.find("odom", "base", 80 * SECOND)


def test_a_circle_of_frames_ends():
    tree = Transforms()
    tree.add("a", "b", 0, pose(), fixed=True)
    tree.add("b", "a", 0, pose(), fixed=True)
    with pytest.raises(TransformError):
        tree.find("c", "a", 0)


def test_rotations_and_quaternions_are_inverse_to_each_other():
    rng = np.random.default_rng(0)
    for _ in range(200):
        q = rng.normal(size=4)
        q *= np.sign(q[3]) / np.linalg.norm(q)
        matrix = pose_from_quaternion([0, 0, 0], 1.01 * q)[:3, :3]
        assert matrix @ matrix.T == pytest.approx(np.eye(3))
        assert np.linalg.det(matrix) == pytest.approx(1)
        assert quaternion_of(matrix) == pytest.approx(q)


def test_the_shorter_way_is_taken():
    middle = interpolate(pose(3.0), pose(-3.0), 0.5)
    assert middle == pytest.approx(pose(np.pi))
