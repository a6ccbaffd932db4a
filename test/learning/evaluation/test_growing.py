"""Identity of tracked objects while the map of a scene grows."""

import json

import numpy as np
import pytest

from dspdet3d_ros.cli import main
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.learning.datasets.scene_files import load_scene
from dspdet3d_ros.learning.evaluation.growing import evaluate_identity, growing
from dspdet3d_ros.tracking.tracking_settings import TrackingSettings


@pytest.fixture(scope="module")
def demo():
    return load_scene(DEMO_CLOUD)


def test_the_states_of_a_map_grow_to_most_of_the_scene(demo):
    counts = [len(xyz) for xyz in growing(demo, 8, seed=0)]
    assert counts == sorted(counts)
    assert counts[-1] > 0.7 * len(demo.xyz)


def test_objects_of_the_demo_keep_their_numbers_while_the_map_grows(demo):
    detector = Detector.load(device="cpu")
    figures = evaluate_identity(detector, detector.default_settings(), [demo], states=12)
    assert figures.objects >= 8
    assert figures.switches <= 0.02 * figures.sightings
    assert figures.flickers == 0


def test_the_figures_count_switches_and_flickers(demo):
    detector = Detector.load(device="cpu")
    # Every detection is an object, and one that is not detected is forgotten at once.
    restless = TrackingSettings(births=1, deaths=1, patience=1, least_overlap=1.0)
    settings = detector.default_settings()
    calm = evaluate_identity(detector, settings, [demo], states=6)
    moved = evaluate_identity(_Shaken(detector), settings, [demo], 6, restless)
    assert moved.switches > calm.switches


class _Shaken:
    """A detector whose boxes jump by half a metre in every second cloud."""

    def __init__(self, detector):
        self._detector, self._calls = detector, 0

    def __call__(self, xyz, settings):
        from dataclasses import replace

        found = self._detector(xyz, settings)
        self._calls += 1
        rows = np.arange(len(found)) % 2 == self._calls % 2
        return replace(found, boxes=found.boxes + rows[:, None] * [0.5, 0, 0, 0, 0, 0])


def test_the_command_prints_and_writes_the_figures(demo, tmp_path, capsys):
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "demo.npz").write_bytes(DEMO_CLOUD.read_bytes())
    out = tmp_path / "figures.json"
    assert main(["evaluate", str(tmp_path / "scenes"), "--growing", "4", "--json", str(out)]) == 0
    assert "identity switches" in capsys.readouterr().out
    assert json.loads(out.read_text())["states"] == 4
