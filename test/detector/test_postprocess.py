from dataclasses import replace

import torch

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.postprocess import select_boxes
from dspdet3d_ros.detector.result import DetectionSettings

CONFIG = ModelConfig(classes=("cup", "bowl"))
SETTINGS = DetectionSettings(0.3, 0.2, 0.5)
# Two cups one above the other, and a third box on the first that is more of a bowl.
BOXES = torch.tensor([[0.0, 0, 0, 1, 1, 1], [0, 0, 2, 1, 1, 1], [0.1, 0, 0, 1, 1, 1]])
SCORES = torch.tensor([[0.9, 0.1], [0.8, 0.1], [0.3, 0.7]])


def found(settings=SETTINGS, config=CONFIG, scores=SCORES):
    _, values, labels = select_boxes(BOXES, scores, settings, config)
    return [(round(float(v), 2), config.classes[k]) for v, k in zip(values, labels, strict=True)]


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
