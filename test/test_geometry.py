"""Boxes from points and from corners, and back."""

import numpy as np
import pytest

from dspdet3d_ros.geometry import box_around, box_between, corners, quaternion_rotation, rotate


def test_a_box_is_its_centre_and_size_and_has_its_corners_again():
    low, high = np.array([[0.0, 1, 2], [-1, -1, -1]]), np.array([[2.0, 2, 6], [-1, 1, 0]])
    boxes = box_between(low, high)
    np.testing.assert_array_equal(boxes, [[1, 1.5, 4, 2, 1, 4], [-1, 0, -0.5, 0, 2, 1]])
    np.testing.assert_array_equal(corners(boxes), [low, high])
    np.testing.assert_array_equal(corners(boxes[0]), [low[0], high[0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_box_around_points_spans_all_or_leaves_some_out_at_each_face(dtype):
    steps = np.arange(101, dtype=dtype)
    points = np.column_stack([steps, steps[::-1] * 2, np.full(101, 7)]).astype(dtype)
    whole, most = box_around(points), box_around(points, left_out=10)
    np.testing.assert_array_equal(whole, [50, 100, 7, 100, 200, 0])
    np.testing.assert_allclose(most, [50, 100, 7, 80, 160, 0])
    assert whole.dtype == dtype


@pytest.mark.parametrize(("axis", "column"), [("x", 0), ("y", 1), ("z", 2)])
def test_a_quaternion_of_any_length_is_the_rotation_about_its_axis(axis, column):
    for angle in (-2.0, 0.3, 3.0):
        quaternion = np.array([0.0, 0, 0, np.cos(angle / 2)])
        quaternion[column] = np.sin(angle / 2)
        np.testing.assert_allclose(quaternion_rotation(quaternion * 7), rotate(axis, angle), atol=1e-12)
