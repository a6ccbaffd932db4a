"""Average precision at a 3D IoU (the metric of ScanNet and TO-SCENE; DSPDet3D, section 4)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.detector.boxes import iou_matrix


@dataclass(frozen=True)
class SceneResult:
    """Predictions and ground truth of one scene.

    Attributes:
        boxes: (N, 6) predicted boxes, metres.
        scores: (N,).
        names: N class names.
        truth: (K, 6) true boxes, metres.
        truth_names: K class names.
        class_names: the classes of the columns of `class_scores`.
        class_scores: (N, n_classes) score of each box for each class, 0 for classes that it does not have; None if each
            box has only the class in `names`.
    """

    boxes: np.ndarray
    scores: np.ndarray
    names: tuple[str, ...]
    truth: np.ndarray
    truth_names: tuple[str, ...]
    class_names: tuple[str, ...] = ()
    class_scores: np.ndarray | None = None

    def of_class(self, name: str) -> SceneResult:
        """The true boxes of one class, and the predicted boxes with a score for that class."""
        # The explicit type makes the comparison elementwise for empty arrays too.
        predicted = np.array(self.names, dtype=np.str_) == name
        true = np.array(self.truth_names, dtype=np.str_) == name
        scores = self.scores
        if self.class_scores is not None and name in self.class_names:
            scores = self.class_scores[:, self.class_names.index(name)]
            predicted = scores > 0
        return SceneResult(
            self.boxes[predicted],
            scores[predicted],
            (name,) * int(predicted.sum()),
            self.truth[true],
            (name,) * int(true.sum()),
        )


@dataclass(frozen=True)
class Precision:
    """Precision over recall of pooled scenes.

    Attributes:
        average: average precision: the area under the precision curve, made non-increasing; 0 without true boxes.
        hits: (N,) bool by descending score: True for a box that matches a true box which no earlier box matches.
        scores: (N,) descending.
        truth: number of true boxes.
    """

    average: float
    hits: np.ndarray
    scores: np.ndarray
    truth: int

    @property
    def recall(self) -> float:
        """Fraction of the true boxes that are found at any score."""
        return float(self.hits.sum() / self.truth) if self.truth else 0.0

    def at_score(self, threshold: float) -> tuple[int, int]:
        """Hits and false boxes among those with a score above the threshold."""
        chosen = self.hits[self.scores > threshold]
        return int(chosen.sum()), int((~chosen).sum())


def matches(result: SceneResult, iou: float) -> np.ndarray:
    """(N,) index of the true box that each predicted box matches, -1 for a false box.

    The rule is that of the indoor metric of mmdet3d, which the published figures use. Boxes are taken by descending
    score. A box matches the true box of highest IoU if that IoU exceeds `iou` and no earlier box matches the true box.
    """
    match_of = np.full(len(result.scores), -1)
    if not len(result.truth) or not len(result.boxes):
        return match_of
    overlap = iou_matrix(result.boxes, result.truth)
    taken = np.zeros(len(result.truth), bool)
    for i in np.argsort(-result.scores, kind="stable"):
        best = int(overlap[i].argmax())
        if overlap[i, best] > iou and not taken[best]:
            taken[best] = True
            match_of[i] = best
    return match_of


def precision(results: Sequence[SceneResult], iou: float) -> Precision:
    """Precision over all scenes together, without regard to classes."""
    truth = sum(len(result.truth) for result in results)
    return _pooled([result.scores for result in results], [matches(result, iou) >= 0 for result in results], truth)


def group_precision(results: Sequence[SceneResult], iou: float, names: Collection[str]) -> Precision:
    """Precision for the objects of some classes, without regard to the predicted class of a hit.

    Boxes that match objects of other classes are left out. A false box counts if its predicted class is in `names`.
    """
    scores, hits = [], []
    for result in results:
        match = matches(result, iou)
        true_in_group = np.array([name in names for name in result.truth_names] + [False])
        predicted_in_group = np.array([name in names for name in result.names], bool)
        chosen = np.where(match >= 0, true_in_group[match], predicted_in_group)
        scores.append(result.scores[chosen])
        hits.append(match[chosen] >= 0)
    return _pooled(scores, hits, sum(name in names for result in results for name in result.truth_names))


def _pooled(scores: Sequence[np.ndarray], hits: Sequence[np.ndarray], truth: int) -> Precision:
    all_scores, all_hits = np.concatenate([np.empty(0), *scores]), np.concatenate([np.empty(0, bool), *hits])
    order = np.argsort(-all_scores, kind="stable")
    all_scores, all_hits = all_scores[order], all_hits[order]
    if not truth or not len(all_hits):
        return Precision(0.0, all_hits, all_scores, truth)
    recall = np.cumsum(all_hits) / truth
    curve = np.cumsum(all_hits) / np.arange(1, len(all_hits) + 1)
    # Make the curve non-increasing: at each recall take the best precision at this or a higher recall.
    curve = np.maximum.accumulate(curve[::-1])[::-1]
    average = float((np.diff(recall, prepend=0.0) * curve).sum())
    return Precision(average, all_hits, all_scores, truth)


def class_precisions(results: Sequence[SceneResult], iou: float) -> dict[str, Precision]:
    """Precision of each class in the ground truth, by name."""
    names = sorted({name for result in results for name in result.truth_names})
    return {name: precision([result.of_class(name) for result in results], iou) for name in names}
