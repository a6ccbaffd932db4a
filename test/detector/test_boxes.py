import pytest
import torch

from dspdet3d_ros.detector.boxes import clashes, corners, iou_matrix, suppress

UNIT = [0.0, 0, 0, 1, 1, 1]


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
    a, b = torch.tensor([UNIT]), torch.tensor([other]).float()
    assert iou_matrix(a, b).item() == pytest.approx(in_space)
    assert iou_matrix(a, b, "plan_view").item() == pytest.approx(in_plan)


def test_overlaps_of_many_boxes_are_those_of_each_pair():
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(1500, 6, generator=generator)
    overlap = iou_matrix(boxes, boxes)
    assert torch.equal(overlap, overlap.t())
    for row in (0, 700, 1499):
        assert torch.equal(overlap[row], iou_matrix(boxes[row, None], boxes)[0])


def test_corners_are_half_a_size_from_the_centre_along_the_first_axes():
    boxes = torch.tensor([[1.0, 2, 3, 2, 4, 8]])
    assert [part.tolist() for part in corners(boxes)] == [[[0, 0, -1]], [[2, 4, 7]]]
    assert [part.tolist() for part in corners(boxes, 2)] == [[[0, 0]], [[2, 4]]]


def test_flat_boxes_give_no_number_that_is_none():
    flat = torch.tensor([[0.0, 0, 0, 1, 1, 0]])
    assert torch.isfinite(iou_matrix(flat, flat)).all()


def test_clashes_are_the_overlaps_above_the_threshold():
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(1500, 6, generator=generator)
    for overlap in ("3d", "plan_view"):
        expected = iou_matrix(boxes, boxes, overlap) > 0.3
        found = clashes(boxes, 0.3, overlap)
        for row in (0, 700, 1499):
            assert [found[row] >> i & 1 for i in range(len(boxes))] == expected[row].tolist()
    assert clashes(boxes[:0], 0.3) == []


def test_suppression_is_greedy():
    # 0 overlaps 1, 1 overlaps 2, 0 does not overlap 2: with 1 best both others go, with 0 best only 1 goes.
    clashing = [0b011, 0b111, 0b110]
    assert suppress(clashing, [1, 0, 2]) == [1]
    assert suppress(clashing, [0, 1, 2]) == [0, 2]
    assert suppress([0b001, 0b010, 0b100], [2, 0, 1]) == [2, 0, 1]


def test_boxes_that_take_no_part_suppress_nothing():
    assert suppress([0b11, 0b11], [1]) == [1]
    assert suppress([0b11, 0b11], []) == []
