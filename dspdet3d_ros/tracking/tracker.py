"""Objects that keep their identity over successive clouds of one place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dspdet3d_ros.detector.boxes import iou_matrix
from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.tracking.tracking_settings import TrackingSettings
from dspdet3d_ros.tracking.visibility import PlacePoints, is_filled, is_seen

#: Two objects that overlap more than this are one that was counted twice.
DUPLICATE_IOU = 0.5


@dataclass(frozen=True)
class TrackedObjects:
    """Objects in the order of their scores, best first.

    Attributes:
        ids: (K,) int64, from 1; the number of an object never changes and is never used again.
        boxes: (K, 6) float64, smoothed centre and size, metres.
        scores: (K,) float32, smoothed, 0..1.
        labels: (K,) int64, the class with the most evidence so far.
        class_scores: (K, n_classes) float32, the evidence of all classes, scaled so that that of `labels` is the score.
        detected: (K,) bool, whether the object was detected in the latest cloud. One that was not is reported while
            the cloud has points in its place.
    """

    ids: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_scores: np.ndarray
    detected: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class _Track:
    number: int
    box: np.ndarray
    score: float
    evidence: np.ndarray
    inside: float
    around: float
    sightings: int = 1
    missed: int = 0
    empty: int = 0
    in_view: bool = True


class Tracker:
    """Associates the detections of each cloud with the objects of the clouds before.

    Clouds must lie in one fixed frame with z up, such as `map` or `odom`.

    Args:
        settings: see `TrackingSettings`; may be replaced at any time.
    """

    def __init__(self, settings: TrackingSettings | None = None) -> None:
        self.settings = settings or TrackingSettings()
        self._tracks: list[_Track] = []
        self._next = 1

    def __len__(self) -> int:
        """The number of objects, with those that are not reported yet and those out of view."""
        return len(self._tracks)

    @property
    def known(self) -> frozenset[int]:
        """The numbers of all objects that are not gone, with those out of view."""
        return frozenset(track.number for track in self._tracks)

    def reset(self) -> None:
        """Forgets all objects. Their numbers are not used again."""
        self._tracks = []

    def update(self, boxes: np.ndarray, class_scores: np.ndarray, xyz: np.ndarray) -> TrackedObjects:
        """Takes the detections of the next cloud.

        Args:
            boxes: (K, 6) centre and size, metres.
            class_scores: (K, n_classes), 0 for classes that a box is not named.
            xyz: (N, 3) points of the cloud, metres, finite, in the frame of the boxes.

        Returns:
            The objects in view that were detected often enough.
        """
        boxes, class_scores = np.asarray(boxes, np.float64), np.asarray(class_scores, np.float64)
        pairs = self._associate(boxes, class_scores)
        places = PlacePoints.count(xyz, np.concatenate([self._boxes(), boxes]))
        known = len(self._tracks)
        now = PlacePoints(places.inside[:known], places.around[:known])
        before = PlacePoints(*np.array([(track.inside, track.around) for track in self._tracks]).reshape(-1, 2).T)
        seen, filled = is_seen(now, before), is_filled(now, before)
        for number, track in enumerate(self._tracks):
            if number in pairs:
                row = pairs[number]
                self._see(track, boxes[row], class_scores[row], *_place(places, known + row))
            else:
                _miss(track, bool(seen[number]), bool(filled[number]))
        taken = set(pairs.values())
        for row in range(len(boxes)):
            if row not in taken:
                self._begin(boxes[row], class_scores[row], *_place(places, known + row))
        self._forget()
        return self._report()

    def _boxes(self) -> np.ndarray:
        return np.array([track.box for track in self._tracks]).reshape(-1, 6)

    def _associate(self, boxes: np.ndarray, class_scores: np.ndarray) -> dict[int, int]:
        """Row of the detection of each track that has one; the best pairs first."""
        if not self._tracks or not len(boxes):
            return {}
        tracked = self._boxes()
        overlap = iou_matrix(tracked, boxes)
        evidence = np.array([track.evidence for track in self._tracks])
        likeness = _normalised(evidence) @ _normalised(class_scores).T
        possible = (
            (overlap >= self.settings.least_overlap) | _centre_inside(tracked, boxes) | _centre_inside(boxes, tracked).T
        )
        affinity = np.where(possible, overlap + 0.25 * likeness + 1e-6, 0.0)
        pairs: dict[int, int] = {}
        rows = set()
        for flat in np.argsort(-affinity, axis=None, kind="stable"):
            number, row = divmod(int(flat), len(boxes))
            if affinity[number, row] <= 0:
                break
            if number not in pairs and row not in rows:
                pairs[number] = row
                rows.add(row)
        return pairs

    def _see(self, track: _Track, box: np.ndarray, scores: np.ndarray, inside: float, around: float) -> None:
        track.sightings += 1
        weight = max(self.settings.smoothing, 1 / track.sightings)
        track.box = (1 - weight) * track.box + weight * box
        track.score = (1 - weight) * track.score + weight * float(scores.max())
        track.evidence = self.settings.memory * track.evidence + scores
        track.inside, track.around = inside, around
        track.missed = track.empty = 0
        track.in_view = True

    def _begin(self, box: np.ndarray, scores: np.ndarray, inside: float, around: float) -> None:
        self._tracks.append(_Track(self._next, box, float(scores.max()), scores.copy(), inside, around))
        self._next += 1

    def _forget(self) -> None:
        """Removes objects that are gone, those that were seen too rarely, and the younger of two that are the same."""
        settings = self.settings
        kept = [
            track
            for track in self._tracks
            if track.empty < settings.deaths
            and track.missed < settings.patience
            # Not yet reported: any cloud that shows its place without it ends it.
            and not (track.missed and track.sightings < settings.births)
        ]
        kept.sort(key=lambda track: (-track.sightings, track.number))
        boxes = np.array([track.box for track in kept]).reshape(-1, 6)
        overlap = iou_matrix(boxes, boxes)
        alive: list[int] = []
        for number in range(len(kept)):
            if not (overlap[number, alive] > DUPLICATE_IOU).any():
                alive.append(number)
        self._tracks = sorted((kept[number] for number in alive), key=lambda track: track.number)

    def _report(self) -> TrackedObjects:
        shown = [t for t in self._tracks if t.in_view and t.sightings >= self.settings.births]
        shown.sort(key=lambda track: (-track.score, track.number))
        evidence = np.array([track.evidence for track in shown])
        scores = np.array([track.score for track in shown], np.float32)
        if shown:
            evidence = evidence * (scores / np.maximum(evidence.max(axis=1), 1e-12))[:, None]
        return TrackedObjects(
            ids=np.array([track.number for track in shown], np.int64),
            boxes=np.array([track.box for track in shown], np.float64).reshape(-1, 6),
            scores=scores,
            labels=evidence.argmax(axis=1).astype(np.int64) if shown else np.zeros(0, np.int64),
            class_scores=evidence.astype(np.float32),
            detected=np.array([track.missed == 0 for track in shown], bool),
        )


def track(tracker: Tracker, detections: Detections, xyz: np.ndarray) -> Detections:
    """The objects of a cloud in place of its detections, with their numbers.

    Args:
        tracker: has seen the clouds before.
        detections: in this cloud.
        xyz: (N, 3) points of the cloud, metres, finite, in the frame of the boxes.
    """
    class_scores = detections.class_scores
    if class_scores is None:
        class_scores = np.zeros((len(detections), len(detections.class_names)))
        class_scores[np.arange(len(detections)), detections.labels] = detections.scores
    found = tracker.update(detections.boxes, class_scores, xyz)
    return replace(
        detections,
        boxes=found.boxes,
        scores=found.scores,
        labels=found.labels,
        class_scores=found.class_scores.reshape(len(found), len(detections.class_names)),
        ids=found.ids,
        # They belong to the boxes of this cloud alone.
        turned=None,
    )


def _miss(track: _Track, seen: bool, filled: bool) -> None:
    """The object was not detected in a cloud that shows its place or not, with points in it or not."""
    track.in_view = seen
    if seen:
        track.missed += 1
        track.empty = 0 if filled else track.empty + 1


def _place(places: PlacePoints, number: int) -> tuple[float, float]:
    return float(places.inside[number]), float(places.around[number])


def _normalised(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _centre_inside(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """(M, K) bool: the centre of a box lies in another."""
    return (np.abs(inner[:, None, :3] - outer[:, :3]) <= outer[:, 3:] / 2).all(axis=-1)
