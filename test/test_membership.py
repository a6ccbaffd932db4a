"""Every point is given to the smallest box that holds it."""

import numpy as np
import pytest

from dspdet3d_ros.geometry import box_of_points, points_in_boxes


def one_by_one(xyz, boxes):
    """The same by the definition: of the boxes that hold a point the one of least volume, the first of equal ones."""
    half = boxes[:, 3:].astype(xyz.dtype) / 2
    low, high = boxes[:, :3].astype(xyz.dtype) - half, boxes[:, :3].astype(xyz.dtype) + half
    inside = ((xyz[:, None] >= low) & (xyz[:, None] <= high)).all(axis=2)
    volume = np.where(inside, boxes[:, 3:].prod(axis=1, dtype=np.float64), np.inf)
    return np.where(inside.any(axis=1), volume.argmin(axis=1), -1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("size", "centre"), [((0.02, 0.4), 0.0), ((0.5, 3.0), -3.0), ((0.02, 0.4), 1e4), ((1e-4, 20.0), 5.0)]
)
def test_all_points_of_random_clouds_are_in_the_box_that_the_definition_says(size, centre, dtype):
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(centre, centre + 4, (60, 3)), rng.uniform(*size, (60, 3))], 1)
    boxes = boxes.astype(np.float32)
    near = boxes[rng.integers(0, 60, 3000)]
    xyz = np.concatenate(
        [
            rng.uniform(centre - 2, centre + 6, (3000, 3)),
            near[:, :3] + near[:, 3:] * rng.uniform(-0.6, 0.6, (3000, 3)),
            boxes[:, :3] - boxes[:, 3:] / 2,
        ]
    ).astype(dtype)
    owner = box_of_points(xyz, boxes)
    np.testing.assert_array_equal(owner, one_by_one(xyz, boxes))
    assert (owner >= 0).sum() > 500


def test_a_cup_on_a_tray_and_its_tray_both_keep_their_points():
    boxes = np.float32([[0, 0, 0, 2, 2, 2], [0.5, 0, 0, 0.5, 0.5, 0.5]])
    xyz = np.float32([[0.5, 0, 0], [-0.5, 0, 0], [3, 0, 0]])
    np.testing.assert_array_equal(box_of_points(xyz, boxes), [1, 0, -1])
    np.testing.assert_array_equal(box_of_points(xyz, boxes[::-1]), [0, 1, -1])


def test_of_equal_boxes_the_first_has_the_points():
    boxes = np.float32([[0.25, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]])
    np.testing.assert_array_equal(box_of_points(np.float32([[0, 0, 0], [-0.5, 0, 0]]), boxes), [0, 1])


def test_faces_belong_to_a_box():
    box = np.float32([[1, 2, 3, 0.5, 1, 2]])
    corners = box[0, :3] + box[0, 3:] * (np.indices((2, 2, 2)).reshape(3, -1).T - 0.5).astype(np.float32)
    np.testing.assert_array_equal(box_of_points(corners, box), np.zeros(8))
    np.testing.assert_array_equal(box_of_points(corners * np.float32(1.001), box)[-1], -1)


def test_without_points_or_boxes_nothing_is_in_a_box():
    assert box_of_points(np.empty((0, 3), np.float32), np.ones((2, 6), np.float32)).shape == (0,)
    np.testing.assert_array_equal(box_of_points(np.ones((2, 3), np.float32), np.empty((0, 6), np.float32)), [-1, -1])


def test_a_box_too_far_away_for_its_size_is_a_point():
    box = np.float32([[1e7, 0, 0, 0.01, 0.01, 0.01]])
    xyz = np.float32([[1e7, 0, 0], [1e7, 0.004, -0.004], [1e7, 0.1, 0], [1e7 + 10, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(box_of_points(xyz, box), [0, 0, -1, -1, -1])
    np.testing.assert_array_equal(box_of_points(xyz, np.float32([[1e7, 1e7, 1e7, 0.01, 0.01, 0.01]])), np.full(5, -1))
    np.testing.assert_array_equal(box_of_points(np.float32([[1e7] * 3]), np.float32([[1e7] * 3 + [0.01] * 3])), [0])


def test_points_at_the_end_of_the_number_range_are_in_no_box():
    xyz = np.float32([[3e38, 0, 0], [-3e38, 3e38, 0], [0, 0, 0]])
    np.testing.assert_array_equal(box_of_points(xyz, np.float32([[0, 0, 0, 0.1, 0.1, 0.1]])), [-1, -1, 0])


def test_points_are_counted_in_each_box_that_contains_them():
    rng = np.random.default_rng(3)
    xyz = rng.uniform(-1, 1, (5000, 3))
    boxes = np.concatenate([rng.uniform(-1, 1, (20, 3)), rng.uniform(0, 1, (20, 3))], axis=1)
    expected = [(np.abs(xyz - box[:3]) <= box[3:] / 2).all(axis=1).sum() for box in boxes]
    assert points_in_boxes(xyz, boxes).tolist() == expected
    assert points_in_boxes(xyz[:0], boxes).tolist() == [0] * 20
    assert points_in_boxes(xyz, boxes[:0]).tolist() == []
