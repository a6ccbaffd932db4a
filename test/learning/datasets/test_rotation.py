"""Scenes are turned about the vertical, with boxes that fit again."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.folders import open_scenes
from dspdet3d_ros.learning.datasets.label_boxes import LEAST_POINTS
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.datasets.rotation import rotated, rotated_set


def scene():
    """A bar along x, an object of one point and the floor."""
    rng = np.random.default_rng(0)
    bar = rng.uniform([1, 0, 0], [2, 0.1, 0.3], (5000, 3))
    xyz = np.concatenate([bar, [[0, 3, 0]], rng.uniform(-2, 2, (100, 3))])
    inst = np.concatenate([np.full(5000, 2), [1], np.zeros(100, int)]).astype(np.int32)
    return LabelledScene("s", "all", xyz, np.ones((2, 6), np.float32), ("speck", "bar"), inst)


@pytest.mark.parametrize(
    ("degrees", "box"),
    [
        (0, [1.5, 0.05, 0.15, 0.98, 0.098, 0.294]),
        (90, [-0.05, 1.5, 0.15, 0.098, 0.98, 0.294]),
        (-180, [-1.5, -0.05, 0.15, 0.98, 0.098, 0.294]),
    ],
)
def test_boxes_that_come_from_points_are_fitted_to_the_turned_points(degrees, box):
    found = rotated(scene(), degrees)
    assert found.names == ("bar",), f"an object of fewer than {LEAST_POINTS} points has no box"
    np.testing.assert_allclose(found.boxes, [box], atol=0.01)
    assert (np.bincount(found.inst) == [101, 5000]).all()


def test_a_turn_moves_points_and_keeps_their_order():
    before, after = scene(), rotated(scene(), 30)
    np.testing.assert_allclose(np.linalg.norm(after.xyz, axis=1), np.linalg.norm(before.xyz, axis=1))
    np.testing.assert_allclose(rotated(after, -30).xyz, before.xyz, atol=1e-12)
    corner = np.cos(np.pi / 6) * 0.98 + np.sin(np.pi / 6) * 0.098
    assert after.boxes[0, 3] == pytest.approx(corner, rel=0.06), "a box around a slanted bar, not a slanted box"


def test_exact_boxes_stay_at_0_degrees_and_keep_their_height_at_any():
    box = np.float32([[0, 0, 0, 1, 1, 1], [1.5, 0.05, 0.15, 0.9, 0.05, 0.2]])
    exact = replace(scene(), boxes=box, exact=True)
    np.testing.assert_allclose(rotated(exact, 0).boxes, box[1:], atol=1e-6)
    turned = rotated(exact, 30).boxes[0]
    assert turned[[2, 5]] == pytest.approx(box[1, [2, 5]])
    assert turned[3] < rotated(replace(exact, exact=False), 30).boxes[0, 3]


def test_scenes_that_do_not_say_whose_their_points_are_cannot_be_rotated(tmp_path):
    np.savez(tmp_path / "a.npz", xyz=scene().xyz)
    (tmp_path / "boxes.json").write_text(json.dumps([{"scene": "a", "objects": [{"box": [1] * 6, "inst": 2}]}]))
    with pytest.raises(InputError, match="scene a: cannot be turned"):
        list(rotated_set(open_scenes(tmp_path), 0))


def test_points_of_clouds_next_to_an_index_belong_to_its_boxes_by_their_numbers(tmp_path):
    inst = np.where(scene().inst == 0, 0, scene().inst + 6)
    np.savez(tmp_path / "a.npz", xyz=scene().xyz, inst=inst.astype(np.uint8))
    things = [{"box": [1] * 6, "inst": 8}, {"box": [1] * 6, "inst": 7}]
    (tmp_path / "boxes.json").write_text(json.dumps([{"scene": "a", "objects": things}]))
    (read,) = open_scenes(tmp_path)
    assert (np.bincount(read.inst) == [100, 5000, 1]).all()


def test_numbers_of_points_that_cannot_be_read_are_named(tmp_path):
    np.savez(tmp_path / "a.npz", xyz=scene().xyz, boxes=np.ones((1, 6)), inst=np.array([{}], object))
    (tmp_path / "boxes.json").write_text(json.dumps([{"scene": "a", "objects": [{"box": [1] * 6, "inst": 1}]}]))
    with pytest.raises(InputError, match=r"a\.npz: 'inst' cannot be read"):
        list(open_scenes(tmp_path))


def test_crops_of_real_scenes_need_no_scene_generator():
    code = "import sys, dspdet3d_ros.learning.training.scenes; print([m for m in sys.modules if 'generation' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_ignored_regions_are_turned_with_the_scene():
    regions = np.float32([[1.5, 0.0, 0.2, 1.0, 0.2, 0.3]])
    found = rotated(replace(scene(), ignore=regions), 90).ignore
    np.testing.assert_allclose(found, [[0, 1.5, 0.2, 0.2, 1.0, 0.3]], atol=1e-6)
    assert rotated(scene(), 90).ignore is None
