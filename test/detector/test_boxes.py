import numpy as np
import pytest

from dspdet3d_ros.detector.boxes import Faces, clashes, iou_matrix, overlapping, suppress

UNIT = [0.0, 0, 0, 1, 1, 1]


def spread(count, extent, seed=0):
    """Boxes of 0.1 to 0.5 m in a cube, and a few large ones."""
    random = np.random.default_rng(seed)
    boxes = np.concatenate([random.uniform(0, extent, (count, 3)), random.uniform(0.1, 0.5, (count, 3))], axis=1)
    boxes[::200, 3:] = extent / 2
    return boxes.astype(np.float32)


def pairs(a, b, threshold, overlap="3d"):
    """{(row of a, row of b): overlap} of all parts that come."""
    parts = list(overlapping(Faces.of(a, overlap), Faces.of(b, overlap), threshold))
    rows = [set(part.a.tolist()) for part in parts]
    assert sum(map(len, rows)) == len(set().union(*rows)), "each row comes in one part"
    for part in parts:
        order = part.a * len(b) + part.b
        for row in set(part.a.tolist()):
            own = np.flatnonzero(part.a == row)
            assert np.array_equal(own, np.arange(own[0], own[-1] + 1))
            assert (np.diff(order[own]) > 0).all()
    return {(i, j): u for part in parts for i, j, u in zip(*(x.tolist() for x in part), strict=True)}, len(parts)


@pytest.mark.parametrize(
    ("other", "in_space", "in_plan"),
    [
        (UNIT, 1.0, 1.0),
        ([0.5, 0, 0, 1, 1, 1], 1 / 3, 1 / 3),
        ([0, 0, 1, 1, 1, 1], 0.0, 1.0),
        ([0, 0, 0.5, 1, 1, 1], 1 / 3, 1.0),
        ([0, 0, 0, 0.5, 0.5, 0.5], 0.125, 0.25),
        ([5, 0, 0, 1, 1, 1], 0.0, 0.0),
    ],
)
def test_overlap_of_worked_cases(other, in_space, in_plan):
    a, b = np.array([UNIT]), np.array([other], float)
    assert iou_matrix(a, b).item() == pytest.approx(in_space)
    assert iou_matrix(a, b, "plan_view").item() == pytest.approx(in_plan)


def test_overlaps_of_many_boxes_are_those_of_each_pair():
    boxes = np.random.default_rng(0).random((1500, 6), np.float32)
    overlap = iou_matrix(boxes, boxes)
    assert np.array_equal(overlap, overlap.T)
    for row in (0, 700, 1499):
        assert np.array_equal(overlap[row], iou_matrix(boxes[row, None], boxes)[0])


def test_flat_boxes_give_no_number_that_is_none():
    flat = np.array([[0.0, 0, 0, 1, 1, 0]])
    assert np.isfinite(iou_matrix(flat, flat)).all()


@pytest.mark.parametrize("overlap", ["3d", "plan_view"])
@pytest.mark.parametrize("threshold", [0.0, 0.1])
def test_boxes_that_overlap_are_found_wherever_they_are(overlap, threshold):
    a, b = spread(700, 8, seed=1), spread(1500, 8, seed=2)
    expected = iou_matrix(a, b, overlap)
    found, parts = pairs(a, b, threshold, overlap)
    assert parts > 1
    assert sorted(found) == [tuple(pair) for pair in np.argwhere(expected > threshold).tolist()]
    assert all(expected[pair] == np.float32(u) for pair, u in found.items())


def test_many_boxes_in_one_place_are_all_compared():
    boxes = np.tile(np.array([UNIT]), (200, 1))
    found, parts = pairs(boxes, boxes, 0.5)
    assert parts > 1
    assert len(found) == 200 * 200


def test_without_boxes_none_overlap():
    boxes = spread(10, 1)
    for a, b in ((boxes[:0], boxes), (boxes, boxes[:0]), (boxes[:1], boxes[:1] + 100)):
        assert pairs(a, b, 0.0)[0] == {} if len(a) and len(b) else not list(overlapping(Faces.of(a), Faces.of(b), 0))


def test_clashes_are_the_overlaps_above_the_threshold():
    boxes = spread(1500, 4)
    for overlap in ("3d", "plan_view"):
        expected = iou_matrix(boxes, boxes, overlap) > 0.3
        assert np.array_equal(clashes(Faces.of(boxes, overlap), 0.3), expected)
    assert clashes(Faces.of(boxes[:0]), 0.3).shape == (0, 0)


def test_suppression_is_greedy():
    # 0 overlaps 1, 1 overlaps 2, 0 does not overlap 2: with 1 best both others go, with 0 best only 1 goes.
    clashing = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], bool)
    assert suppress(clashing, [1, 0, 2]) == [1]
    assert suppress(clashing, [0, 1, 2]) == [0, 2]
    assert suppress(np.eye(3, dtype=bool), [2, 0, 1]) == [2, 0, 1]


def test_boxes_that_take_no_part_suppress_nothing():
    everything = np.ones((2, 2), bool)
    assert suppress(everything, [1]) == [1]
    assert suppress(everything, []) == []
