"""Faces move to the surface near them, and stay where points do not show one."""

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.fitted_faces import fitted

VOXEL = 0.01
#: An object on a table whose face is z = 0.
TRUE = np.array([0.4, -0.3, 0.06, 0.1, 0.14, 0.12])


def surface(box: np.ndarray, sides: str = "xXyYZ", count: int = 1500, seed: int = 0) -> np.ndarray:
    """(N, 3) points of the named sides of a box: a small letter for the lower one."""
    rng = np.random.default_rng(seed)
    parts = []
    for side in sides:
        points = rng.uniform(-0.5, 0.5, (count, 3))
        points[:, "xyz".index(side.lower())] = 0.5 if side.isupper() else -0.5
        parts.append(box[:3] + points * box[3:])
    return np.concatenate(parts)


def table(around: np.ndarray = TRUE) -> np.ndarray:
    plan = np.random.default_rng(9).uniform(-0.4, 0.4, (60_000, 2)) + around[:2]
    outside = (np.abs(plan - around[:2]) > around[3:5] / 2).any(1)
    return np.column_stack([plan[outside], np.zeros(outside.sum())])


def box_of(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.concatenate([(low + high) / 2, high - low])


def corners(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return box[:3] - box[3:] / 2, box[:3] + box[3:] / 2


def fit(box: np.ndarray, points: np.ndarray, voxel: float = VOXEL) -> np.ndarray:
    return fitted(torch.from_numpy(box[None].astype(np.float32)), torch.from_numpy(points), voxel)[0].numpy()


@pytest.mark.parametrize("off", [-0.018, -0.012, -0.006, 0.004])
def test_sides_and_top_move_to_the_surface_and_the_lower_face_stays(off: float):
    low, high = corners(TRUE)
    start = box_of(low + [off, off, 0.004], high - off)
    found = corners(fit(start, np.concatenate([surface(TRUE), table()])))
    np.testing.assert_allclose(found[0][:2], low[:2], atol=0.002)
    np.testing.assert_allclose(found[1], high, atol=0.002)
    assert found[0][2] == pytest.approx(low[2] + 0.004, abs=1e-6)


def test_a_side_stays_where_the_surface_goes_on():
    bar = TRUE * [1, 1, 1, 5, 1, 1]
    low, high = corners(TRUE)
    found = corners(fit(box_of(low, high + [0, 0.004, 0]), surface(bar, count=20_000)))
    assert (found[0][0], found[1][0]) == pytest.approx((low[0], high[0]), abs=1e-6)
    assert found[1][1] == pytest.approx(high[1], abs=0.002)


def test_a_neighbour_that_touches_hardly_moves_a_side():
    neighbour = TRUE + [0.1, 0, 0, 0, 0, 0]
    # Nobody sees the faces between them.
    found = fit(TRUE, np.concatenate([surface(TRUE, "xyYZ"), surface(neighbour, "XyYZ", seed=1)]))
    np.testing.assert_allclose(found, TRUE, atol=0.002)


def test_a_side_stays_where_nothing_was_seen():
    low, high = corners(TRUE)
    seen = surface(TRUE, "yZ")
    seen = seen[seen[:, 1] < TRUE[1] - 0.03]
    assert corners(fit(box_of(low, high - 0.004), seen))[1][1] == pytest.approx(high[1] - 0.004, abs=1e-6)


def test_the_top_of_a_thin_object_does_not_rise_into_noise():
    thin = np.array([0, 0, 0.005, 0.1, 0.2, 0.01])
    noise = np.random.default_rng(0).normal(0, 0.004, (7500, 1)) * [0, 0, 1]
    found = fit(thin, surface(thin) + noise)
    assert found[5] == pytest.approx(0.01, abs=1e-6)


def test_few_points_change_nothing():
    points = surface(TRUE, count=2)
    np.testing.assert_allclose(fit(TRUE * [1, 1, 1, 1.1, 1.1, 1.1], points), TRUE * [1, 1, 1, 1.1, 1.1, 1.1], rtol=1e-6)
    for points in (np.empty((0, 3)), TRUE[None, :3] + 50):
        np.testing.assert_allclose(fit(TRUE, points), TRUE, rtol=1e-6)
    assert fitted(torch.empty(0, 6), torch.from_numpy(surface(TRUE)), VOXEL).shape == (0, 6)


def test_lengths_are_in_proportion_to_the_voxels():
    points, start = np.concatenate([surface(TRUE), table()]), TRUE * [1, 1, 1, 1.08, 0.92, 1.04]
    full, half = fit(start, points), fit(start / 2, points / 2, VOXEL / 2)
    np.testing.assert_allclose(half * 2, full, atol=1e-5)


def test_many_boxes_are_fitted_like_single_ones_also_far_from_each_other():
    rng = np.random.default_rng(3)
    boxes = np.array([[*rng.uniform(-1, 1, 2) * 40, 0.06, 0.1, 0.14, 0.12] for _ in range(20)])
    points = np.concatenate([surface(box, seed=k) for k, box in enumerate(boxes)]).astype(np.float32)
    wide = (boxes * [1, 1, 1, 1.1, 1.1, 1.05]).astype(np.float32)
    together = fitted(torch.from_numpy(wide), torch.from_numpy(points), VOXEL).numpy()
    alone = np.stack([fit(box, points.astype(np.float64)) for box in wide])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together[:, 3:5], boxes[:, 3:5], atol=0.002)
