"""Average precision on cases worked by hand."""

import dataclasses

import numpy as np
import pytest

from dspdet3d_ros.learning.evaluation.metric import SceneResult, class_precisions, matches, precision


def box(x):
    return [float(x), 0, 0, 1, 1, 1]


def scene(found, truth, names=None, truth_names=None):
    return SceneResult(
        np.array([box(x) for x, _ in found], np.float32).reshape(-1, 6),
        np.array([score for _, score in found], np.float64),
        tuple(names or ["cup"] * len(found)),
        np.array([box(x) for x in truth], np.float32).reshape(-1, 6),
        tuple(truth_names or ["cup"] * len(truth)),
    )


def test_everything_found_is_one():
    assert precision([scene([(0, 0.9), (5, 0.8)], [0, 5])], 0.25).average == pytest.approx(1)


def hits(result, iou):
    return (matches(result, iou) >= 0).tolist()


def test_a_second_box_on_the_same_object_is_false():
    result = scene([(0, 0.9), (0.1, 0.8), (5, 0.7)], [0, 5])
    assert hits(result, 0.25) == [True, False, True]
    # Recall 1/2 at precision 1, recall 1 at precision 2/3.
    assert precision([result], 0.25).average == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_the_box_with_the_higher_score_matches_in_any_order():
    result = scene([(0.3, 0.2), (0, 0.9)], [0])
    assert hits(result, 0.25) == [False, True]


def test_equal_scores_keep_their_order():
    assert hits(scene([(0.3, 0.5), (0, 0.5)], [0]), 0.25) == [True, False]


def test_a_box_whose_best_object_is_taken_does_not_match_the_second_best():
    # The second box overlaps both objects enough, and more with the one that is taken.
    result = scene([(0, 0.9), (0.2, 0.8)], [0, 0.75])
    assert hits(result, 0.25) == [True, False]


def test_overlap_must_reach_the_threshold():
    result = scene([(0.5, 0.9)], [0])
    assert hits(result, 0.33) == [True]
    assert hits(result, 0.34) == [False]


def test_scenes_are_pooled_by_score():
    first, second = scene([(9, 0.9)], [0]), scene([(0, 0.8)], [0])
    # The false box comes first: recall 1/2 at precision 1/2.
    assert precision([first, second], 0.25).average == pytest.approx(0.25)


def test_without_predictions_or_without_truth_precision_is_zero():
    assert precision([scene([], [0])], 0.25).average == 0
    assert precision([scene([(0, 0.9)], [])], 0.25).average == 0
    assert precision([], 0.25).average == 0


def test_each_class_in_the_truth_has_its_own_precision():
    result = scene([(0, 0.9), (5, 0.8)], [0, 5], names=["bowl", "cup"], truth_names=["cup", "cup"])
    values = class_precisions([result], 0.25)
    assert set(values) == {"cup"}
    assert values["cup"].average == pytest.approx(0.5)
    assert values["cup"].recall == pytest.approx(0.5)


def test_a_box_counts_for_each_of_its_classes_with_the_score_of_that_class():
    sure = scene([(0, 0.9), (5, 0.8)], [0, 5], names=["cup", "cup"], truth_names=["cup", "bowl"])
    scores = np.array([[0.9, 0.2], [0.8, 0.7]])
    result = dataclasses.replace(sure, class_names=("cup", "bowl"), class_scores=scores)
    assert class_precisions([sure], 0.25)["bowl"].average == 0
    values = class_precisions([result], 0.25)
    assert values["cup"].average == pytest.approx(1.0)
    assert values["bowl"].average == pytest.approx(1.0)
    assert values["bowl"].scores.tolist() == [0.7, 0.2]


def test_hits_and_false_boxes_above_a_score():
    value = precision([scene([(0, 0.9), (9, 0.5), (5, 0.3)], [0, 5])], 0.25)
    assert value.at_score(0.4) == (1, 1)
    assert value.at_score(0.1) == (2, 1)
