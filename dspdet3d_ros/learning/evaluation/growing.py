"""Identity over time: labelled scenes are shown as maps that grow; tracked objects are compared with the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.result import Detections, DetectionSettings
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.learning.evaluation.metric import SceneResult, matches
from dspdet3d_ros.tracking.tracker import Tracker, track
from dspdet3d_ros.tracking.tracking_settings import TrackingSettings

FOUND_IOU = 0.25
#: Share of the points near the camera that each state adds; the distance along the path that it sees, metres; noise of
#: the points from one state to the next, metres.
_NEW_SHARE, _REACH_M, _NOISE_M = 0.5, 1.3, 0.001


@dataclass
class IdentityFigures:
    """Stability of identities; all counts are over all scenes.

    Attributes:
        scenes: number of scenes.
        states: number of states of each.
        objects: number of true objects that were found in any state.
        sightings: number of pairs of a true object and a state in which it was found.
        switches: how often an object had another number than when it was found before.
        flickers: how often an object with a number was missing in a state between two others.
        found: true objects found in the last state.
        found_single: true objects found in the last state by the detector alone.
        found_by_both: true objects of both. Names are compared for these: objects that only tracking reports are those
            that are hard to see.
        right_names: of them, those that tracking names right.
        right_names_single: of them, those that the detector alone names right.
    """

    scenes: int = 0
    states: int = 0
    objects: int = 0
    sightings: int = 0
    switches: int = 0
    flickers: int = 0
    found: int = 0
    found_single: int = 0
    found_by_both: int = 0
    right_names: int = 0
    right_names_single: int = 0

    def as_json(self) -> dict[str, Any]:
        """The counts and their ratios."""
        return {
            **asdict(self),
            "switch_share": self.switches / max(self.sightings, 1),
            "name_accuracy": self.right_names / max(self.found_by_both, 1),
            "name_accuracy_single": self.right_names_single / max(self.found_by_both, 1),
        }

    def as_text(self) -> str:
        """Lines for the terminal."""
        plain = self.as_json()
        return (
            f"{self.scenes} scenes in {self.states} states: {self.objects} objects found, {self.sightings} sightings\n"
            f"identity switches: {self.switches} ({100 * plain['switch_share']:.1f} % of the sightings); "
            f"flickers: {self.flickers}\n"
            f"last state: {self.found} found, by the detector alone {self.found_single}; of {self.found_by_both} that "
            f"both find, {self.right_names} ({100 * plain['name_accuracy']:.0f} %) have the right name, by the "
            f"detector alone {self.right_names_single} ({100 * plain['name_accuracy_single']:.0f} %)"
        )


def growing(scene: LabelledScene, states: int, seed: int) -> Iterator[np.ndarray]:
    """The cloud of a scene as a camera builds it that moves along the longer side: (N, 3) points of each state."""
    rng = np.random.default_rng(seed)
    axis = int(np.ptp(scene.xyz[:, :2], axis=0).argmax())
    along = scene.xyz[:, axis]
    seen = np.zeros(len(along), bool)
    for place in np.linspace(along.min(), along.max(), states):
        seen |= (np.abs(along - place) < _REACH_M) & (rng.random(len(along)) < _NEW_SHARE)
        yield scene.xyz[seen] + rng.normal(0, _NOISE_M, (int(seen.sum()), 3)).astype(scene.xyz.dtype)


def evaluate_identity(
    detector: Detector,
    settings: DetectionSettings,
    scenes: Sequence[LabelledScene],
    states: int,
    tracking: TrackingSettings | None = None,
) -> IdentityFigures:
    """Tracks the objects of each scene while its map grows.

    Args:
        detector: the model.
        settings: its thresholds.
        scenes: with boxes and names.
        states: number of clouds of each scene.
        tracking: settings of the tracker.
    """
    figures = IdentityFigures(states=states)
    for seed, scene in enumerate(scenes):
        tracker = Tracker(tracking)
        numbers: list[dict[int, int]] = []
        reported: list[set[int]] = []
        found = raw = None
        for xyz in growing(scene, states, seed):
            raw = detector(xyz, settings)
            found = track(tracker, raw, xyz)
            assert found.ids is not None
            numbers.append({truth: int(found.ids[row]) for row, truth in _matched(found, scene).items()})
            reported.append(set(found.ids.tolist()))
        figures.scenes += 1
        _count_identity(figures, numbers, reported)
        if found is not None and raw is not None:
            tracked, alone = _names_right(found, scene), _names_right(raw, scene)
            both = tracked.keys() & alone.keys()
            figures.found += len(tracked)
            figures.found_single += len(alone)
            figures.found_by_both += len(both)
            figures.right_names += sum(tracked[truth] for truth in both)
            figures.right_names_single += sum(alone[truth] for truth in both)
    return figures


def _matched(found: Detections, scene: LabelledScene) -> dict[int, int]:
    """The true object of each row that finds one."""
    result = SceneResult(found.boxes, found.scores, found.names, scene.boxes, scene.names)
    match = matches(result, FOUND_IOU)
    return {int(row): int(match[row]) for row in np.flatnonzero(match >= 0)}


def _names_right(found: Detections, scene: LabelledScene) -> dict[int, bool]:
    """Whether the name is right, for each true object that is found."""
    return {truth: found.names[row] == scene.names[truth] for row, truth in _matched(found, scene).items()}


def _count_identity(figures: IdentityFigures, numbers: list[dict[int, int]], reported: list[set[int]]) -> None:
    last: dict[int, int] = {}
    for state in numbers:
        figures.sightings += len(state)
        figures.switches += sum(truth in last and last[truth] != number for truth, number in state.items())
        last.update(state)
    figures.objects += len(last)
    for number in set().union(*reported):
        present = [number in state for state in reported]
        first, end = present.index(True), len(present) - present[::-1].index(True)
        figures.flickers += sum(a and not b for a, b in zip(present[first:end], present[first + 1 : end], strict=False))
