"""Fused post-processing on cases worked by hand, and the map of scores."""

import math
import warnings
from dataclasses import replace

import pytest
import torch

from dspdet3d_ros.detector.best_cells import best_cells
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.fused_boxes import fused
from dspdet3d_ros.detector.head import LevelOutput
from dspdet3d_ros.detector.postprocess import select_boxes
from dspdet3d_ros.detector.result import DetectionSettings
from dspdet3d_ros.detector.score_map import ScoreMap
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse import CoordinateSet

CONFIG = ModelConfig(classes=("cup", "bowl"), postprocessing="fused", nms_across_classes=True)
SETTINGS = DetectionSettings(0.3, 0.2, 0.25)


def boxes(*faces):
    """Boxes from (low x, high x); 0 to 1 along the other axes."""
    return torch.tensor([[(low + high) / 2, 0.5, 0.5, high - low, 1, 1] for low, high in faces])


def scores(*best):
    return torch.tensor([[score, score / 4] for score in best])


def support(voters):
    """The factor of the score of a box with so many voters."""
    return 1 - math.exp(-voters / 8)


def test_faces_are_weighted_medians_of_the_candidates_that_overlap():
    # The best box is too long; the squares of the other two scores outweigh its own.
    found, _ = fused(boxes((0, 1.4), (0.1, 1.0), (0.05, 1.1)), scores(0.6, 0.5, 0.5), 0.2, 0.25)
    torch.testing.assert_close(found, boxes((0.05, 1.1)))


def test_a_box_that_nobody_else_supports_keeps_its_place_and_has_the_score_of_one_voter():
    found, values = fused(boxes((0, 1), (5, 6)), scores(0.6, 0.4), 0.05, 0.25)
    torch.testing.assert_close(found, boxes((0, 1), (5, 6)))
    torch.testing.assert_close(values, scores(0.6, 0.4) * support(1))


def test_a_box_with_more_voters_scores_higher():
    found, values = fused(boxes((5, 6), *[(0, 1)] * 8), scores(0.6, *[0.5] * 8), 0.05, 0.25)
    torch.testing.assert_close(found, boxes((0, 1), (5, 6)))
    assert values.amax(1).tolist() == pytest.approx([0.5 * support(8), 0.6 * support(1)])


def test_candidates_without_a_vote_do_not_support_a_box():
    some, values = boxes((0, 1), (0, 1), (0, 1)), scores(0.6, 0.5, 0.04)
    for threshold in (0.01, 0.2):
        assert float(fused(some, values, threshold, 0.25)[1].max()) == pytest.approx(0.6 * support(2))


@pytest.mark.parametrize("count", [1, 300])
def test_a_box_smaller_than_the_resolution_of_its_position_is_not_reported(count):
    tiny = torch.tensor([[5.0, 5, 5, 1e-9, 1e-9, 1e-9]]).repeat(count, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = replace(SETTINGS, score_threshold=0.05)
        result = select_boxes(torch.cat([tiny, boxes((0, 1))]), scores(*[0.9] * count, 0.8), settings, CONFIG)
        alone = select_boxes(tiny, scores(*[0.9] * count), settings, CONFIG)
    torch.testing.assert_close(result.boxes, boxes((0, 1)))
    assert len(alone.boxes) == 0


def test_candidates_that_agree_score_higher_than_those_that_do_not():
    agree = fused(boxes((0, 1), (0, 1), (0, 1)), scores(0.6, 0.5, 0.5), 0.2, 0.25)[1]
    differ = fused(boxes((0, 1), (0.5, 1.5), (-0.5, 0.5)), scores(0.6, 0.5, 0.5), 0.2, 0.25)[1]
    assert float(agree.max()) == pytest.approx(0.6 * support(3))
    # Overlaps of 1, 1/3 and 1/3, weighted by the scores.
    assert float(differ.max()) == pytest.approx(0.6 * support(1) * ((0.6 + 0.5 / 3 + 0.5 / 3) / 1.6) ** 0.5)


def test_a_box_that_overlaps_a_better_one_a_little_is_weakened_and_not_lost():
    # An overlap of 0.2 each way; too little for a vote, enough to count for the agreement.
    found, values = fused(boxes((0, 1), (2 / 3, 5 / 3)), scores(0.6, 0.5), 0.2, 0.25)
    iou = 0.2
    assert len(found) == 2
    agreement = (0.5 + 0.6 * iou) / 1.1
    expected = 0.5 * support(1) * torch.exp(torch.tensor(-(iou**2) / 0.3)) * agreement**0.5
    assert float(values[1].max()) == pytest.approx(float(expected), rel=1e-4)


def test_low_candidates_vote_but_are_never_chosen():
    found, _ = fused(boxes((0, 1), (0.2, 1), (0.2, 1), (9, 10)), scores(0.25, 0.19, 0.19, 0.19), 0.2, 0.25)
    torch.testing.assert_close(found, boxes((0.2, 1)))


def test_names_are_voted():
    candidates = torch.tensor([[0.6, 0.1], [0.1, 0.55], [0.1, 0.55], [0.1, 0.55]])
    result = select_boxes(boxes((0, 1), (0, 1), (0, 1), (0, 1)), candidates, SETTINGS, CONFIG)
    assert result.labels.tolist() == [1]
    assert float(result.scores) == pytest.approx(0.6 * support(4))
    assert float(result.class_scores[0, 1]) == pytest.approx(0.6 * support(4))


def test_without_candidates_there_are_no_boxes():
    for count in (0, 3):
        result = select_boxes(torch.ones(count, 6), torch.full((count, 2), 0.1), SETTINGS, CONFIG)
        assert result.boxes.shape == (0, 6)
        assert result.class_scores.shape == (0, 2)
        assert result.shortlist.over_threshold == 0


def test_the_class_filter_leaves_out_boxes_and_changes_no_other():
    generator = torch.Generator().manual_seed(0)
    some = torch.cat([torch.rand(300, 3, generator=generator) * 5, torch.ones(300, 3)], 1)
    values = torch.rand(300, 2, generator=generator)
    everything = select_boxes(some, values, SETTINGS, CONFIG)
    for label, name in enumerate(CONFIG.classes):
        filtered = select_boxes(some, values, replace(SETTINGS, class_filter=(name,)), CONFIG)
        rows = everything.labels == label
        assert rows.any()
        for part in ("boxes", "scores", "labels", "class_scores"):
            assert torch.equal(getattr(filtered, part), getattr(everything, part)[rows])


def test_the_best_boxes_come_first_and_no_more_than_wanted():
    generator = torch.Generator().manual_seed(1)
    some = torch.cat([torch.rand(300, 3, generator=generator) * 5, torch.ones(300, 3)], 1)
    values = torch.rand(300, 2, generator=generator)
    result = select_boxes(some, values, replace(SETTINGS, score_threshold=0.05, max_detections=4), CONFIG)
    assert len(result.boxes) == 4
    assert torch.equal(result.scores, result.scores.sort(descending=True).values)


@pytest.mark.parametrize("kind", ["published", "fused"])
def test_scores_are_mapped_and_the_threshold_is_one_of_mapped_scores(kind):
    config = replace(CONFIG, postprocessing=kind)
    mapped = replace(config, score_map=(2.0, 1.0))
    # Thirty cells find each object.
    some, values = (part.repeat_interleave(30, 0) for part in (boxes((0, 1), (3, 4), (6, 7)), scores(0.7, 0.5, 0.3)))
    plain = select_boxes(some, values, replace(SETTINGS, score_threshold=0.4), config)
    threshold = float(ScoreMap(2.0, 1.0)(torch.tensor(0.4)))
    result = select_boxes(some, values, replace(SETTINGS, score_threshold=threshold), mapped)
    assert torch.equal(result.boxes, plain.boxes)
    torch.testing.assert_close(result.scores, ScoreMap(2.0, 1.0)(plain.scores))
    assert result.shortlist.best_score == pytest.approx(float(result.scores[0]))


def test_a_score_map_keeps_the_order_and_its_inverse_undoes_it():
    score_map, values = ScoreMap(1.7, -0.4), torch.linspace(0.0, 1.0, 21)
    mapped = score_map(values)
    assert (mapped.diff() > 0).all()
    assert (float(mapped[0]), float(mapped[-1])) == (0, 1)
    for before, after in zip(values.tolist(), mapped.tolist(), strict=True):
        assert score_map.inverse(after) == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"postprocessing": "best"},
        {"score_map": (0.0, 1.0)},
        {"nms_across_classes": False},
        {"nms_overlap": "plan_view"},
    ],
)
def test_a_model_file_that_does_not_fit_is_refused(wrong):
    with pytest.raises(InputError, match=r"postprocessing|score_map"):
        replace(CONFIG, **wrong)


def test_all_cells_that_have_a_vote_take_part_however_many_there_are():
    """A box must not depend on what else is in a large map."""
    count = 7000
    coords = torch.arange(count)[:, None] * torch.tensor([0, 4, 0, 0])
    cells = CoordinateSet.from_coordinates(coords, 4)[0]
    logits = torch.full((count, 2), -2.0)
    logits[6000:] = -9.0
    output = LevelOutput(0, cells, torch.zeros(count, 6), logits, None, count)
    assert len(best_cells([output], replace(CONFIG, nms_pre=100))[0]) == 6000
    assert len(best_cells([output], replace(CONFIG, nms_pre=100, postprocessing="published"))[0]) == 100
