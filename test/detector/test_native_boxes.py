"""Groups of candidates and faces of boxes: the C library computes what NumPy does, and NumPy where there is none."""

import numpy as np
import pytest
import torch

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.detector.best_cells import largest_by_torch, largest_logits
from dspdet3d_ros.detector.candidate_groups import Groups, groups_by_numpy, groups_of
from dspdet3d_ros.detector.fitted_faces import fitted, fitted_by_numpy
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.native import library

VOXEL = 0.01


@pytest.fixture
def with_library():
    if not library.has_library():
        pytest.skip(f"backend native: {library.why_not()}")


def candidates(count: int, extent: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 6) boxes in groups, and (N, 5) scores, best first."""
    rng = np.random.default_rng(seed)
    objects = np.column_stack(
        [rng.uniform(-extent, extent, (count // 15 + 1, 3)), rng.uniform(0.02, 0.4, (count // 15 + 1, 3))]
    )
    boxes = objects[rng.integers(0, len(objects), count)] * rng.uniform(0.9, 1.1, (count, 6))
    boxes[:, :3] += rng.normal(0, 0.01, (count, 3))
    scores = (rng.random((count, 5)) ** 4).astype(np.float32)
    scores[0] = 0.9
    return boxes.astype(np.float32), scores[np.argsort(-scores.max(axis=1), kind="stable")]


def grouped(function, boxes: np.ndarray, scores: np.ndarray, threshold: float) -> Groups:
    best = scores.max(axis=1)
    return function(boxes, scores, best, int((best > threshold).sum()), 0.25)


@pytest.mark.parametrize("threshold", [0.3, 0.01])
@pytest.mark.parametrize(("count", "extent"), [(1, 1.0), (40, 0.1), (700, 0.3), (1500, 30.0)])
def test_groups_are_those_of_numpy(with_library, count, extent, threshold):
    boxes, scores = candidates(count, extent, count)
    ours, theirs = (grouped(function, boxes, scores, threshold) for function in (groups_of, groups_by_numpy))
    assert len(theirs.rows)
    np.testing.assert_array_equal(ours.rows, theirs.rows)
    np.testing.assert_array_equal(ours.voters, theirs.voters)
    for name in ("rivalry", "agreement", "names", "corners"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-5, atol=1e-6, err_msg=name)


def test_extreme_boxes_are_grouped_too(with_library):
    # Too flat to overlap even itself, larger than a planet, and far away; more voters than have a say in the faces.
    boxes = np.array([[1e3, 0, 0, 1e-9, 1e-9, 1e-9], [0, 0, 0, 4e12, 4e12, 4e12], [2e3, 5, 5, 1, 1, 1]], np.float32)
    boxes = np.concatenate(
        [boxes, np.full((200, 6), 1, np.float32) * np.linspace(1, 1.1, 200, dtype=np.float32)[:, None]]
    )
    scores = np.linspace(0.99, 0.5, len(boxes), dtype=np.float32)[:, None]
    ours, theirs = (grouped(function, boxes, scores, 0.1) for function in (groups_of, groups_by_numpy))
    np.testing.assert_array_equal(ours.rows, theirs.rows)
    np.testing.assert_allclose(ours.corners[1:], theirs.corners[1:], rtol=1e-6)
    assert ours.voters.tolist() == theirs.voters.tolist()
    assert max(ours.voters) > 64


@pytest.mark.parametrize("seed", range(12))
def test_faces_are_those_of_numpy(with_library, seed):
    rng = np.random.default_rng(seed)
    extent, count = rng.uniform(0.3, 30) * np.array([1, 1, 0.05]), int(rng.integers(1, 40))
    boxes = np.column_stack([rng.uniform(-0.5, 0.5, (count, 3)) * extent, rng.uniform(0.01, 0.4, (count, 3))])
    parts = [rng.uniform(-0.5, 0.5, (20_000, 3)) * extent]
    for box in boxes:
        points = rng.uniform(-0.5, 0.5, (int(rng.integers(0, 3000)), 3))
        side, rows = rng.integers(0, 3, len(points)), np.arange(len(points))
        points[rows, side] = np.sign(points[rows, side]) / 2
        parts.append(box[:3] + points * box[3:] * rng.uniform(0.85, 1.15, 3) + rng.normal(0, 0.002, points.shape))
    boxes, points = torch.from_numpy(boxes.astype(np.float32)), torch.from_numpy(np.concatenate(parts))
    ours, theirs = fitted(boxes, points, VOXEL), fitted_by_numpy(boxes, points, VOXEL)
    assert not torch.equal(theirs, boxes)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("function", [fitted, fitted_by_numpy])
def test_a_box_larger_than_a_planet_needs_no_more_memory(function):
    boxes = torch.tensor([[0, 0, 0, 4e12, 0.1, 0.1], [0, 0, 0, 0.1, 0.1, 0.1]])
    found = function(boxes, torch.rand(5000, 3, dtype=torch.float64) * 0.1, VOXEL)
    assert found.isfinite().all()
    assert found.shape == (2, 6)


def test_the_demo_scene_has_the_same_boxes_without_the_library(with_library, monkeypatch):
    detector, cloud = Detector.load("small", None, "cpu"), read_cloud(DEMO_CLOUD)
    ours = detector(cloud)
    monkeypatch.setattr("dspdet3d_ros.native.library.has_library", lambda: False)
    monkeypatch.setattr("dspdet3d_ros.detector.fitted_faces.has_library", lambda: False)
    theirs = detector(cloud)
    assert len(ours.boxes) > 10
    np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-5)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 5000])
@pytest.mark.parametrize("classes", [1, 2, 35])
def test_largest_logits_are_those_of_torch_and_predictions_that_are_not_usable_have_none(with_library, count, classes):
    generator = torch.Generator().manual_seed(count + classes)
    logits = torch.randn(count, classes, generator=generator) * 10
    regression = torch.randn(count, 6, generator=generator)
    bad = (torch.nan, -torch.nan, torch.inf, -torch.inf)
    for number, value in enumerate(bad):
        logits[10 + number :: 97, (7 * number) % classes] = value
        regression[50 + number :: 101, number] = value
    regression[::103, 4], regression[1::107, 5], regression[2::109, 0] = 29.5, -29.5, 1e30
    found = largest_logits(logits, regression)
    assert torch.equal(found, largest_by_torch(logits, regression))
    assert count < 5000 or 0 < int((found == -torch.inf).sum()) < 1000
    # Rows of a larger tensor.
    if classes > 1:
        assert torch.equal(largest_logits(logits[:, 1:], regression), largest_by_torch(logits[:, 1:], regression))


@pytest.mark.parametrize("wrong", [{"boxes": (9, 6)}, {"boxes": (10, 7)}, {"best": (9,)}])
def test_arrays_that_do_not_fit_together_are_refused(with_library, wrong):
    shapes = {"boxes": (10, 6), "scores": (10, 3), "best": (10,), **wrong}
    boxes, scores, best = (np.ones(shape, np.float32) for shape in shapes.values())
    with pytest.raises(ValueError, match="expected a contiguous float32 array"):
        groups_of(boxes, scores, best, 5, 0.25)
