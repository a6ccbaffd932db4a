"""The non-learned baseline."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the baseline needs SciPy, which is not installed")

from dspdet3d_ros.cli import main
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.evaluation.clustering import Clustering, clusters

MOSD = Path(__file__).resolve().parents[4] / "shared" / "data" / "mosd_learn"


def table_scene(table_z=0.5):
    """Two boxes and a few stray points on a table."""
    rng = np.random.default_rng(0)
    plane = rng.uniform([-0.5, -0.5, -0.004], [0.5, 0.5, 0.004], (20000, 3))
    big = rng.uniform([0, 0, 0], [0.1, 0.1, 0.2], (6000, 3))
    small = rng.uniform([-0.3, 0, 0], [-0.22, 0.05, 0.08], (3000, 3))
    stray = rng.uniform([-0.4, -0.4, 0.3], [0.4, 0.4, 0.5], (20, 3))
    xyz = (np.concatenate([plane, big, small, stray]) + [0, 0, 0.5]).astype(np.float32)
    return LabelledScene("one", "all", xyz, np.empty((0, 6), np.float32), (), table_z=table_z)


def test_each_cluster_on_the_table_is_a_box_and_the_larger_scores_higher():
    predictions = Clustering()(table_scene())
    order = np.argsort(-predictions.scores)
    expected = [[0.05, 0.05, 0.604, 0.1, 0.1, 0.192], [-0.26, 0.025, 0.544, 0.08, 0.05, 0.072]]
    np.testing.assert_allclose(predictions.boxes[order], expected, atol=0.004)
    assert predictions.names == ("object", "object")


def test_the_height_of_the_table_must_be_known():
    scene = table_scene(table_z=None)
    with pytest.raises(InputError, match="one: has no table height; give it with --table-z"):
        Clustering()(scene)
    assert len(Clustering(table_z=0.5)(scene).boxes) == 2
    assert len(Clustering(table_z=2.0)(scene).boxes) == 0


def test_clusters_are_connected_cores_with_their_borders_and_the_rest_is_noise():
    line = [[0.1 * i, 0, 0] for i in range(5)]
    far = [[0.1 * i + 9, 0, 0] for i in range(3)]
    lone = [[100, 0, 0], [100.1, 0, 0]]
    labels = clusters(np.array(line + far + lone), 0.11, 3)
    assert labels.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, -1, -1]
    assert clusters(np.empty((0, 3)), 0.1, 3).tolist() == []
    assert clusters(np.array(lone), 0.11, 3).tolist() == [-1, -1]


@pytest.mark.skipif(not MOSD.is_dir(), reason="the real table-top clouds are not there")
def test_on_real_table_tops_it_reaches_the_known_accuracy(tmp_path, capsys):
    assert main(["baseline", str(MOSD), "--json", str(tmp_path / "b.json")]) == 0
    values = json.loads((tmp_path / "b.json").read_text())
    assert (values["scenes"], values["agnostic"]["objects"]) == (45, 112)
    assert values["agnostic"]["ap25"] == pytest.approx(0.82, abs=0.02)
    assert values["agnostic"]["ap50"] == pytest.approx(0.63, abs=0.02)
    known = {"boxes": (1.0, 1.0), "stacked": (0.35, 0.15), "occluded": (0.83, 0.41), "cylindric": (0.93, 0.71)}
    for subset, figures in known.items():
        found = values["subsets"][subset]
        assert (found["ap25"], found["ap50"]) == pytest.approx(figures, abs=0.07)
    assert "all, class-agnostic" in capsys.readouterr().out
