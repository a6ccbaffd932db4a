"""Calibration of scores on cases worked by hand, and the fit of the score map."""

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.score_map import ScoreMap
from dspdet3d_ros.learning.evaluation.calibration import fit_score_map, reliability
from dspdet3d_ros.learning.evaluation.metric import SceneResult


def result(right, wrong):
    """Boxes of these scores: on an object each, and where there is none."""

    def row(x):
        return [float(x), 0, 0, 1, 1, 1]

    truth = [row(3 * k) for k in range(len(right))]
    boxes = np.array(truth + [row(-9 - 3 * k) for k in range(len(wrong))], np.float32).reshape(-1, 6)
    names = ("cup",) * len(boxes)
    return SceneResult(
        boxes, np.array(right + wrong), names, np.array(truth, np.float32).reshape(-1, 6), ("cup",) * len(truth)
    )


def test_the_error_is_the_mean_difference_of_score_and_share_of_right_boxes():
    # Of four boxes with 0.75 three are right; of two with 0.45 none. A box below 0.1 does not count.
    values = reliability([result([0.75, 0.75], [0.45]), result([0.75], [0.75, 0.45, 0.05])])
    assert values["error"] == pytest.approx((4 * 0 + 2 * 0.45) / 6)
    bins = [(part["boxes"], part["score"], part["right"]) for part in values["bins"]]
    assert bins == [(2, pytest.approx(0.45), 0), (4, pytest.approx(0.75), 0.75)]


def test_without_boxes_the_error_is_zero_and_the_map_the_identity():
    values = reliability([])
    assert (values["error"], values["bins"], values["score_map"]) == (0, [], [1, 0])


def test_the_fit_finds_the_map_that_made_the_scores():
    rng, true = np.random.default_rng(0), ScoreMap(2.0, 0.7)
    scores = rng.uniform(0.05, 0.95, 40_000)
    right = rng.random(len(scores)) < true(torch.from_numpy(scores)).numpy()
    found = fit_score_map(scores, right)
    assert (found.slope, found.offset) == (pytest.approx(2.0, abs=0.1), pytest.approx(0.7, abs=0.1))


def test_maps_are_chained():
    values, first, second = torch.linspace(0.05, 0.95, 9), ScoreMap(2.0, 0.7), ScoreMap(0.5, -0.3)
    torch.testing.assert_close(second.after(first)(values), second(first(values)))
