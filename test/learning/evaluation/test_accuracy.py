"""Figures of a set of scenes, worked by hand."""

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
    assert lines[1].split()[-6:] == ["0.333", "0.333", "0.500", "0.500", "2", "1"]
    rows = {line.split("  ")[0].strip() or line.split("  ")[1].strip(): line for line in lines}
    assert rows["class cup"].split()[2:4] == ["2", "0.250"]
    assert "0.417" in rows["mean, 3 classes"]
    assert "mean, 1 small classes" in rows
    assert "small classes: cup" in lines
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
