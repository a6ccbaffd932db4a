from dataclasses import replace

import torch

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.head import LevelOutput
from dspdet3d_ros.detector.postprocess import best_cells, select_boxes
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


def test_equal_things_on_two_shelves_are_both_found():
    assert found() == [(0.9, "cup"), (0.8, "cup"), (0.7, "bowl")]


def test_plan_view_suppression_loses_one_of_them():
    assert found(config=replace(CONFIG, nms_overlap="plan_view")) == [(0.9, "cup"), (0.7, "bowl")]


def test_suppression_across_classes_leaves_one_box_an_object():
    assert found(config=replace(CONFIG, nms_across_classes=True)) == [(0.9, "cup"), (0.8, "cup")]


def test_class_filter_frees_what_the_other_class_suppressed():
    settings = replace(SETTINGS, class_filter=("bowl",))
    assert found(settings) == [(0.7, "bowl")]
    assert found(settings, replace(CONFIG, nms_across_classes=True)) == [(0.7, "bowl")]


def test_score_threshold_is_strict_and_max_detections_keeps_the_best():
    assert found(replace(SETTINGS, score_threshold=0.7001)) == [(0.9, "cup"), (0.8, "cup")]
    assert found(replace(SETTINGS, max_detections=1)) == [(0.9, "cup")]


def test_no_score_above_the_threshold_gives_no_boxes():
    assert found(scores=SCORES * 0.1) == []


def test_predictions_that_are_not_finite_are_left_out_and_counted():
    cells, _ = CoordinateSet.from_coordinates(torch.tensor([[0, x, 0, 0] for x in range(5)]))
    regression, logits = torch.zeros(5, 6), torch.arange(10.0).view(5, 2)
    # The exponential of 1000 is infinite.
    regression[0, 1], regression[2, 4], logits[3, 1] = torch.nan, 1000, torch.inf
    boxes, scores, not_finite = best_cells([LevelOutput(0, cells, regression, logits, None, 5)], CONFIG)
    assert not_finite == 3
    torch.testing.assert_close(scores, torch.sigmoid(logits[[4, 1]]))
    torch.testing.assert_close(boxes[:, 0], torch.tensor([4.0, 1.0]) * CONFIG.voxel_size)


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
