from dataclasses import replace

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.best_cells import best_cells
from dspdet3d_ros.detector.boxes import iou_matrix
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import LevelOutput
from dspdet3d_ros.detector.postprocess import select_boxes
from dspdet3d_ros.detector.result import Detections, DetectionSettings
from dspdet3d_ros.sparse import CoordinateSet

CONFIG = ModelConfig(classes=("cup", "bowl"))
SETTINGS = DetectionSettings(0.3, 0.2, 0.5)
# Two cups one above the other, and a third box on the first that is more of a bowl.
BOXES = torch.tensor([[0.0, 0, 0, 1, 1, 1], [0, 0, 2, 1, 1, 1], [0.1, 0, 0, 1, 1, 1]])
SCORES = torch.tensor([[0.9, 0.1], [0.8, 0.1], [0.3, 0.7]])


def found(settings=SETTINGS, config=CONFIG, scores=SCORES):
    selected = select_boxes(BOXES, scores, settings, config)
    return [(round(float(v), 2), config.classes[k]) for v, k in zip(selected.scores, selected.labels, strict=True)]


def test_equal_objects_on_two_shelves_are_both_found():
    assert found() == [(0.9, "cup"), (0.8, "cup"), (0.7, "bowl")]


def test_plan_view_suppression_loses_one_of_them():
    assert found(config=replace(CONFIG, nms_overlap="plan_view")) == [(0.9, "cup"), (0.7, "bowl")]


def test_suppression_across_classes_leaves_one_box_an_object():
    assert found(config=replace(CONFIG, nms_across_classes=True)) == [(0.9, "cup"), (0.8, "cup")]


def test_class_filter_frees_what_the_other_class_suppressed():
    settings = replace(SETTINGS, class_filter=("bowl",))
    assert found(settings) == [(0.7, "bowl")]
    assert found(settings, replace(CONFIG, nms_across_classes=True)) == [(0.7, "bowl")]


@pytest.mark.parametrize("overlap", ["3d", "plan_view"])
@pytest.mark.parametrize("across_classes", [True, False])
@pytest.mark.parametrize("name", CONFIG.classes)
def test_class_filter_leaves_out_and_renames_nothing(name, across_classes, overlap):
    config = replace(CONFIG, nms_across_classes=across_classes, nms_overlap=overlap)
    generator = torch.Generator().manual_seed(0)
    # Boxes far from each other: none suppresses another, whatever the filter is.
    boxes = torch.cat([torch.arange(60)[:, None] * torch.tensor([2.0, 0, 0]), torch.ones(60, 3)], 1)
    scores = torch.rand(60, 2, generator=generator)
    everything = select_boxes(boxes, scores, SETTINGS, config)
    filtered = select_boxes(boxes, scores, replace(SETTINGS, class_filter=(name,)), config)
    label = config.classes.index(name)
    rows = everything.labels == label
    assert 10 < rows.sum() < len(rows)
    for part in ("boxes", "scores", "labels"):
        assert torch.equal(getattr(filtered, part), getattr(everything, part)[rows])
    if across_classes:
        assert torch.equal(filtered.class_scores, everything.class_scores[rows])
        assert (filtered.class_scores > 0).all(1).any(), "what else a box may be stays with it"
    assert filtered.shortlist.of_wanted_classes == rows.sum()


def test_a_box_is_named_over_all_classes_before_the_filter():
    config = replace(CONFIG, nms_across_classes=True)
    assert found(replace(SETTINGS, class_filter=("cup",)), config, SCORES.flip(1)) == [(0.7, "cup")]
    only_bowls = torch.tensor([[0.3, 0.9], [0.4, 0.8], [0.6, 0.7]])
    assert found(replace(SETTINGS, class_filter=("cup",)), config, only_bowls) == []


def test_score_threshold_is_strict_and_max_detections_keeps_the_best():
    assert found(replace(SETTINGS, score_threshold=0.7001)) == [(0.9, "cup"), (0.8, "cup")]
    assert found(replace(SETTINGS, max_detections=1)) == [(0.9, "cup")]


def test_no_score_above_the_threshold_gives_no_boxes():
    assert found(scores=SCORES * 0.1) == []


def level(number, regression, logits):
    stride = 4 * 2**number
    coords = torch.arange(len(logits))[:, None] * torch.tensor([0, stride, 0, 0])
    return LevelOutput(number, CoordinateSet.from_coordinates(coords, stride)[0], regression, logits, None, len(logits))


def test_the_best_cells_of_all_levels_together_come_best_first():
    generator = torch.Generator().manual_seed(0)
    outputs = [
        level(number, torch.randn(count, 6, generator=generator), torch.randn(count, 2, generator=generator))
        for number, count in ((3, 5), (2, 40), (1, 0), (0, 300))
    ]
    boxes, scores, not_finite = best_cells(outputs, replace(CONFIG, nms_pre=30))
    every_box = torch.cat([output.boxes(CONFIG.voxel_size) for output in outputs])
    every_score = torch.sigmoid(torch.cat([output.logits for output in outputs]))
    best = every_score.amax(1).argsort(descending=True)[:30]
    assert torch.equal(boxes, every_box[best])
    torch.testing.assert_close(scores, every_score[best])
    assert not_finite == 0


def test_cells_whose_scores_round_to_one_come_in_the_order_of_their_logits():
    logits = torch.tensor([[40.0, 0], [0, 80], [60, 0], [30, 20]])
    boxes, scores, _ = best_cells([level(0, torch.zeros(4, 6), logits)], replace(CONFIG, nms_pre=3))
    assert scores.amax(1).tolist() == [1, 1, 1]
    torch.testing.assert_close(boxes[:, 0], torch.tensor([1, 2, 0]) * 4 * CONFIG.voxel_size)


def test_predictions_that_are_not_finite_are_left_out_and_counted():
    regression, logits = torch.zeros(6, 6), torch.arange(12.0).view(6, 2)
    # The exponential of 1000 is infinite.
    regression[0, 1], regression[2, 4], logits[3, 1], logits[5, 0] = torch.nan, 1000, torch.inf, -torch.inf
    boxes, scores, not_finite = best_cells([level(0, regression, logits)], CONFIG)
    assert not_finite == 4
    torch.testing.assert_close(scores, torch.sigmoid(logits[[4, 1]]))
    torch.testing.assert_close(boxes[:, 0], torch.tensor([16.0, 4.0]) * CONFIG.voxel_size)


def test_boxes_without_extent_or_of_infinite_volume_are_left_out_and_counted():
    regression, logits = torch.zeros(5, 6), torch.arange(10.0).view(5, 2)
    regression[1, 3:], regression[2, 5], regression[4, 3:] = 30, -200, 28
    boxes, _, not_finite = best_cells([level(0, regression, logits)], CONFIG)
    assert torch.isinf(regression[1, 3:].exp().prod())
    assert float(regression[2, 5].exp()) == 0
    assert not_finite == 2
    assert torch.isfinite(boxes[:, 3:].prod(1)).all()
    assert np.isfinite(iou_matrix(boxes.numpy(), boxes.numpy())).all()
    assert len(boxes) == 3


def test_where_no_prediction_is_usable_there_are_no_boxes():
    boxes, scores, not_finite = best_cells([level(0, torch.full((5, 6), torch.nan), torch.zeros(5, 2))], CONFIG)
    assert (boxes.shape, scores.shape, not_finite) == ((0, 6), (0, 2), 5)


def test_one_box_an_object_says_all_that_it_may_be():
    config = replace(CONFIG, nms_across_classes=True)
    selected = select_boxes(BOXES, torch.tensor([[0.9, 0.1], [0.3, 0.8], [0.3, 0.7]]), SETTINGS, config)
    torch.testing.assert_close(selected.class_scores, torch.tensor([[0.9, 0.0], [0.3, 0.8]]))
    detections = Detections(
        *(part.numpy() for part in (selected.boxes, selected.scores, selected.labels)),
        CONFIG.classes,
        None,
        selected.class_scores.numpy(),
    )
    assert [[name for name, _ in detections.hypotheses(i)] for i in range(2)] == [["cup"], ["bowl", "cup"]]
    assert len(detections.select([1]).class_scores) == 1
