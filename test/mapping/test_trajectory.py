"""Poses by stamp: interpolated, nearest, or refused."""

import numpy as np
import pytest
from box_scene import orbit

from dspdet3d_ros.geometry import interpolate
from dspdet3d_ros.mapping.frame import FrameRefused
from dspdet3d_ros.mapping.trajectory import Trajectory


def turned(degrees, x=0.0):
    pose = np.eye(4)
    a = np.radians(degrees)
    pose[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    pose[0, 3] = x
    return pose


def test_between_two_poses_the_way_is_straight_and_the_turn_constant():
    np.testing.assert_allclose(interpolate(turned(10, 1), turned(50, 3), 0.25), turned(20, 1.5), atol=1e-9)
    np.testing.assert_allclose(interpolate(turned(0), turned(0), 0.3), np.eye(4), atol=1e-12)
    one, other = orbit(2)
    np.testing.assert_allclose(interpolate(one, other, 0.0), one, atol=1e-9)
    np.testing.assert_allclose(interpolate(one, other, 1.0), other, atol=1e-9)


def test_stamps_may_come_in_any_order():
    trajectory = Trajectory()
    for stamp in (2.0, 1.0, 1.1):
        trajectory.add(stamp, turned(10 * stamp))
    np.testing.assert_allclose(trajectory.at(1.05, 0.1), turned(10.5), atol=1e-9)
    # The gap is too long to interpolate.
    np.testing.assert_allclose(trajectory.at(1.95, 0.1), turned(20), atol=1e-9)
    assert trajectory.last_stamp == 2.0


def test_poses_at_a_low_rate_are_interpolated_but_not_over_a_gap():
    trajectory = Trajectory()
    # Odometry at 10 Hz, which stops for a second.
    for stamp in (1.0, 1.1, 1.2, 2.2, 2.3):
        trajectory.add(stamp, turned(10 * stamp))
    for stamp in (1.03, 1.05, 1.15, 2.25):
        np.testing.assert_allclose(trajectory.at(stamp, 0.02), turned(10 * stamp), atol=1e-9)
    for stamp in (1.3, 1.7, 2.1):
        with pytest.raises(FrameRefused, match="the nearest one is"):
            trajectory.at(stamp, 0.02)


def test_a_stamp_without_a_pose_near_it_is_refused():
    trajectory = Trajectory()
    with pytest.raises(FrameRefused, match="there are no poses"):
        trajectory.at(1.0, 0.1)
    trajectory.add(1.0, turned(0))
    with pytest.raises(FrameRefused, match=r"0.5 s away .* at most 0.1 s") as refused:
        trajectory.at(1.5, 0.1)
    assert refused.value.kind == "pose"


def test_only_the_latest_poses_are_kept():
    trajectory = Trajectory(most=3)
    for stamp in range(10):
        trajectory.add(float(stamp), turned(stamp))
    assert len(trajectory) == 3
    with pytest.raises(FrameRefused):
        trajectory.at(5.0, 0.5)
