"""Figures of a set of scenes, worked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from dspdet3d_ros.detector.result import LevelCells
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene, SceneSet
from dspdet3d_ros.learning.evaluation.accuracy import Predictions, SceneEvaluation, evaluate_scenes, figures, table
from dspdet3d_ros.learning.evaluation.metric import SceneResult


def box(x):
    return [float(x), 0, 0, 1, 1, 1]


def evaluation(found, truth, subset="all", ms=1.0, levels=()):
    """`found`: (x, score, name) of each box; `truth`: (x, name)."""
    result = SceneResult(
        np.array([box(x) for x, _, _ in found], np.float32).reshape(-1, 6),
        np.array([score for _, score, _ in found], np.float64),
        tuple(name for _, _, name in found),
        np.array([box(x) for x, _ in truth], np.float32).reshape(-1, 6),
        tuple(name for _, name in truth),
    )
    return SceneEvaluation(result, subset, ms, levels)


#: Cups: one of two found, behind a false one. The table is found. A bowl is not. A hat is found where there is none.
SCENES = [
    evaluation([(9, 0.9, "cup"), (0, 0.8, "cup"), (5, 0.7, "table")], [(0, "cup"), (5, "table")], "a", 10.0),
    evaluation([(3, 0.6, "hat")], [(7, "cup"), (9, "bowl")], "b", 30.0),
]
KNOWN = ("cup", "bowl", "table", "hat")


def test_every_class_that_occurs_has_its_figures_and_no_other():
    values = figures(SCENES, 0.65, {"small": {"cup", "bowl"}}, KNOWN)
    assert {name: part["objects"] for name, part in values["classes"].items()} == {"bowl": 1, "cup": 2, "table": 1}
    cup = values["classes"]["cup"]
    assert (cup["ap25"], cup["ap50"]) == (pytest.approx(0.25), pytest.approx(0.25))
    assert (cup["recall25"], cup["recall50"]) == (0.5, 0.5)
    assert values["classes"]["bowl"]["ap25"] == 0
    assert values["classes"]["table"]["ap50"] == 1


def test_means_are_over_all_small_and_other_classes():
    values = figures(SCENES, 0.65, {"small": {"cup", "bowl", "spoon"}}, KNOWN)
    means = values["means"]
    assert {group: part["classes"] for group, part in means.items()} == {"all": 3, "small": 2, "other": 1}
    assert means["all"]["map25"] == pytest.approx((0.25 + 0 + 1) / 3)
    assert means["small"]["map50"] == pytest.approx(0.125)
    assert means["small"]["recall25"] == pytest.approx(0.25)
    assert means["other"]["map25"] == 1
    assert values["groups"] == {"small": ["bowl", "cup"]}


def test_groups_count_their_objects_whatever_a_hit_is_called_and_their_own_false_boxes():
    objects = figures(SCENES, 0.65, {"small": {"cup", "bowl"}}, KNOWN)["objects"]
    # By score: false cup, cup; the hat is no small object's name. Three small objects are there.
    assert (objects["small"]["objects"], objects["small"]["recall25"]) == (3, pytest.approx(1 / 3))
    assert objects["small"]["ap25"] == pytest.approx(1 / 3 * 1 / 2)
    assert (objects["small"]["found_at_threshold"], objects["small"]["false_at_threshold"]) == (1, 1)
    assert objects["other"]["ap25"] == 1
    misnamed = [evaluation([(0, 0.9, "table")], [(0, "cup")])]
    assert figures(misnamed, 0.5, {"small": {"cup"}}, KNOWN)["objects"]["small"]["ap25"] == 1


def test_a_set_that_tells_no_small_classes_apart_has_one_mean():
    assert set(figures(SCENES, 0.65, None, KNOWN)["means"]) == {"all"}
    assert set(figures(SCENES, 0.65, {"small": {"cup", "bowl", "table"}}, KNOWN)["means"]) == {"all", "small"}


def test_whatever_the_class_counts_over_all_and_by_subset():
    values = figures(SCENES, 0.65, None, KNOWN)
    # By score: false, cup, table, false: recall 1/4 at 1/2 and 2/4 at 2/3; the curve never rises, so 2/3 for both.
    assert values["agnostic"]["ap25"] == pytest.approx(0.5 * 2 / 3)
    assert values["agnostic"]["recall25"] == 0.5
    assert (values["agnostic"]["found_at_threshold"], values["agnostic"]["false_at_threshold"]) == (2, 1)
    assert values["subsets"]["a"]["recall50"] == 1
    assert values["subsets"]["b"]["ap25"] == 0
    assert figures(SCENES[:1], 0.5, None, KNOWN)["subsets"] == {}


def test_without_names_on_either_side_there_are_no_figures_by_class():
    nameless = [evaluation([(0, 0.9, "cup")], [(0, "object")])]
    for values in (figures(nameless, 0.5, None, KNOWN), figures(SCENES, 0.5, {"small": {"cup"}}, ("object",))):
        assert (values["classes"], values["means"], values["groups"]) == ({}, {}, {})
        assert values["agnostic"]["objects"] > 0
    assert figures(nameless, 0.5)["agnostic"]["ap50"] == 1
    only_cups = figures(SCENES, 0.5, None, ("cup",))
    assert only_cups["unknown_classes"] == ["bowl", "table"]
    assert only_cups["means"]["all"]["classes"] == 3


def test_time_and_cells_are_given_too():
    levels = [(LevelCells(3, 10, 4), LevelCells(2, 100, 50)), (LevelCells(3, 20, 8), LevelCells(2, 300, 0))]
    scenes = [evaluation([], [(0, "cup")], ms=ms, levels=own) for ms, own in zip((5.0, 9.0), levels, strict=True)]
    values = figures(scenes, 0.5)
    assert (values["median_ms"], values["largest_ms"]) == (7.0, 9.0)
    assert values["median_cells"] == {"level3": 15.0, "level2": 200.0}
    assert values["median_kept"] == {"level3": 6.0, "level2": 25.0}
    assert "median_cells" not in figures(SCENES, 0.5)


def test_the_table_has_every_figure_to_read():
    lines = table(figures(SCENES, 0.65, {"small": {"cup"}}, ("cup", "table"))).splitlines()
    assert lines[1].split()[-7:] == ["0.333", "0.333", "0.500", "0.500", "2", "1", "0.571"]
    rows = {line.split("  ")[0].strip() or line.split("  ")[1].strip(): line for line in lines}
    assert rows["class cup"].split()[2:4] == ["2", "0.250"]
    assert "0.417" in rows["mean, 3 classes"]
    assert "mean, 1 small classes" in rows
    assert "small classes: cup" in lines
    assert rows["above 10 cm high"].split()[4:] == ["4", "0.500", "0.500", "2"]
    assert "false boxes: duplicate 0, several objects 0, part of an object 0, loose 0, background 1" in lines
    assert "classes that the model does not know: bowl" in lines
    assert lines[-1] == "2 scenes, median 20 ms, largest 30 ms"


def test_no_scene_at_all_gives_zeros():
    values = figures([], 0.5)
    assert (values["scenes"], values["agnostic"]["ap25"], values["median_ms"]) == (0, 0.0, 0.0)
    assert "0 scenes" in table(values)


def test_scenes_are_judged_in_order():
    def scene(name):
        return LabelledScene(name, name, np.zeros((1, 3), np.float32), np.array([box(0)], np.float32), ("cup",))

    def predict(seen):
        return Predictions(np.array([box(0)], np.float32), np.array([0.5]), ("cup",), len(seen.name))

    results = evaluate_scenes(predict, SceneSet((lambda: scene("a"), lambda: scene("bb"))))
    assert [(one.subset, one.ms) for one in results] == [("a", 1), ("bb", 2)]
    assert figures(results, 0.1)["agnostic"]["ap50"] == 1


def test_f1_counts_boxes_above_the_threshold_only():
    # Two of four objects are found, by three boxes.
    assert figures(SCENES, 0.65, None, KNOWN)["agnostic"]["f1_at_threshold"] == pytest.approx(2 * 2 / (3 + 4))
    assert figures(SCENES, 0.95, None, KNOWN)["agnostic"]["f1_at_threshold"] == 0


def test_predictions_in_ignore_regions_count_neither_way():
    found = np.array([box(0), box(5), box(9)], np.float32)
    scores = np.array([[0.9, 0], [0, 0.8], [0.1, 0.7]])
    predictions = Predictions(found, np.array([0.9, 0.8, 0.7]), ("cup", "hat", "hat"), 1.0, (), {}, KNOWN[:2], scores)
    scene = LabelledScene("a", "a", np.zeros((1, 3), np.float32), np.array([box(0)], np.float32), ("cup",))
    assert figures([SceneEvaluation.of(predictions, scene)], 0.5)["agnostic"]["false_at_threshold"] == 2
    region = np.array([[4.8, 0, 0, 1, 1, 1], [20, 0, 0, 1, 1, 1]], np.float32)
    result = predictions.with_truth(replace(scene, ignore=region))
    assert result.boxes[:, 0].tolist() == [0, 9]
    assert (result.scores.tolist(), result.names) == ([0.9, 0.7], ("cup", "hat"))
    assert result.class_scores.tolist() == [[0.9, 0], [0.1, 0.7]]
    assert Predictions(np.empty((0, 6)), np.empty(0), (), 1.0).with_truth(replace(scene, ignore=region)).names == ()


def test_a_prediction_in_an_ignore_region_that_matches_an_object_counts():
    found = np.array([box(0), box(0.4), box(3)], np.float32)
    predictions = Predictions(found, np.array([0.9, 0.8, 0.7]), ("cup",) * 3, 1.0)
    scene = LabelledScene("a", "a", np.zeros((1, 3), np.float32), np.array([box(0)], np.float32), ("cup",))
    everywhere = np.array([[0, 0, 0, 9, 9, 9]], np.float32)
    result = predictions.with_truth(replace(scene, ignore=everywhere))
    # The second one overlaps the object too: it stays a duplicate.
    assert result.boxes[:, 0].tolist() == found[:2, 0].tolist()
    values = figures([SceneEvaluation(result, "a", 1.0, ())], 0.5)["agnostic"]
    assert (values["found_at_threshold"], values["false_at_threshold"]) == (1, 1)


def test_false_boxes_are_counted_by_their_source():
    sides = {"object": (0, 1), "next": (1.05, 2.05), "good": (0, 1.05), "second": (0.02, 1), "part": (0.1, 0.3)}
    sides |= {"both": (-0.5, 9), "large": (9.5, 16.5), "third": (12, 13), "away": (30, 31), "shifted": (12.8, 13.8)}

    def rows(*names):
        ends = np.array([sides[name] for name in names], np.float32).reshape(-1, 2)
        flat = np.tile(np.float32([0, 0, 1, 1]), (len(ends), 1))
        return np.column_stack([ends.mean(1), flat[:, :2], np.ptp(ends, axis=1), flat[:, 2:]])

    found = ("good", "second", "part", "both", "large", "away", "shifted")
    scores = np.linspace(0.9, 0.3, len(found))
    result = SceneResult(rows(*found), scores, ("cup",) * 7, rows("object", "next", "third"), ("cup",) * 3)
    values = figures([SceneEvaluation(result, "a", 1.0, ())], 0.2)
    expected = {"duplicate": 1, "several objects": 1, "part of an object": 1, "loose": 2, "background": 1}
    assert values["false_boxes"] == expected
    assert values["agnostic"]["false_at_threshold"] == sum(expected.values())
    # Boxes below the threshold do not count.
    assert sum(figures([SceneEvaluation(result, "a", 1.0, ())], 0.75)["false_boxes"].values()) == 1


def test_objects_are_counted_by_visible_height():
    truth = np.array([[0, 0, 0, 0.1, 0.1, height] for height in (0.005, 0.015, 0.2)], np.float32)
    truth[:, 0] = 0, 1, 2
    found = truth[[0, 2]].copy()
    found[0, 5] *= 2.5
    result = SceneResult(found, np.array([0.9, 0.4]), ("cup",) * 2, truth, ("cup",) * 3)
    values = figures([SceneEvaluation(result, "a", 1.0, ())], 0.5)["heights"]
    assert list(values) == ["below 1 cm", "1 to 2 cm", "above 10 cm"]
    assert values["below 1 cm"] == {"objects": 1, "recall25": 1, "recall50": 0, "found_at_threshold": 1}
    assert values["1 to 2 cm"]["recall25"] == 0
    assert (values["above 10 cm"]["recall50"], values["above 10 cm"]["found_at_threshold"]) == (1, 0)
