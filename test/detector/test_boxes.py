import pytest
import torch

from dspdet3d_ros.detector.boxes import corners, iou_matrix, suppress

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


def test_suppression_is_greedy_by_score():
    # 0 overlaps 1, 1 overlaps 2, 0 does not overlap 2: with 1 best both others go, with 0 best only 1 goes.
    iou = torch.tensor([[1.0, 0.6, 0.0], [0.6, 1.0, 0.6], [0.0, 0.6, 1.0]])
    assert suppress(iou, torch.tensor([0.5, 0.9, 0.4]), 0.5).tolist() == [1]
    assert suppress(iou, torch.tensor([0.9, 0.5, 0.4]), 0.5).tolist() == [0, 2]
    assert suppress(iou, torch.tensor([0.9, 0.5, 0.4]), 0.6).tolist() == [0, 1, 2]


def test_boxes_of_too_low_a_score_suppress_nothing():
    iou = torch.tensor([[1.0, 0.6], [0.6, 1.0]])
    assert suppress(iou, torch.tensor([0.5, 0.4]), 0.7, least_score=0.4).tolist() == [0]
    assert suppress(iou, torch.tensor([0.5, 0.4]), 0.5, least_score=0.6).tolist() == []


def test_nothing_suppresses_nothing():
    assert suppress(torch.empty(0, 0), torch.empty(0), 0.5).tolist() == []
