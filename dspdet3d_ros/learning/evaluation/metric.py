"""Average precision at a 3D IoU (the measure of ScanNet and TO-SCENE; DSPDet3D, section 4)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dspdet3d_ros.detector.boxes import iou_matrix


@dataclass(frozen=True)
class SceneResult:
    """What was found in one scene and what is there.

    Attributes:
        boxes: (N, 6) found boxes, metres.
        scores: (N,).
        names: N class names.
        truth: (K, 6) boxes that are there.
        truth_names: K class names.
        class_names: the classes of the columns of `class_scores`.
        class_scores: (N, n_classes) what each box scores as each class, 0 for what it is not; None where `names` say
            all.
    """

    boxes: np.ndarray
    scores: np.ndarray
    names: tuple[str, ...]
    truth: np.ndarray
    truth_names: tuple[str, ...]
    class_names: tuple[str, ...] = ()
    class_scores: np.ndarray | None = None

    def of_class(self, name: str) -> SceneResult:
        """What is of one class, and the boxes that may be, with their scores as that class."""
        # As arrays of text; an empty one of no text would compare as a whole.
        found = np.array(self.names, dtype=np.str_) == name
        there = np.array(self.truth_names, dtype=np.str_) == name
        scores = self.scores
        if self.class_scores is not None and name in self.class_names:
            scores = self.class_scores[:, self.class_names.index(name)]
            found = scores > 0
        return SceneResult(
            self.boxes[found],
            scores[found],
            (name,) * int(found.sum()),
            self.truth[there],
            (name,) * int(there.sum()),
        )


@dataclass(frozen=True)
class Precision:
    """Precision over recall of pooled scenes.

    Attributes:
        average: average precision, the area under the curve made non-increasing; 0 without truth.
        hits: (N,) by falling score, whether the box found something not found before.
        scores: (N,) falling.
        truth: number of boxes that are there.
    """

    average: float
    hits: np.ndarray
    scores: np.ndarray
    truth: int

    @property
    def recall(self) -> float:
        """Part of what is there that was found at all."""
        return float(self.hits.sum() / self.truth) if self.truth else 0.0

    def at_score(self, threshold: float) -> tuple[int, int]:
        """Hits and false boxes among those with a score above the threshold."""
        chosen = self.hits[self.scores > threshold]
        return int(chosen.sum()), int((~chosen).sum())


def partners(result: SceneResult, iou: float) -> np.ndarray:
    """(N,) index of the true box that each found box is a hit of, -1 for a false box.

    By falling score: a box's best overlap must exceed `iou`, and its partner must not be taken by an earlier box
    (mmdet3d's indoor metric, by which the published figures were made).
    """
    partner_of = np.full(len(result.scores), -1)
    if not len(result.truth) or not len(result.boxes):
        return partner_of
    overlap = iou_matrix(torch.from_numpy(result.boxes), torch.from_numpy(result.truth)).numpy()
    taken = np.zeros(len(result.truth), bool)
    for i in np.argsort(-result.scores, kind="stable"):
        partner = int(overlap[i].argmax())
        if overlap[i, partner] > iou and not taken[partner]:
            taken[partner] = True
            partner_of[i] = partner
    return partner_of


def match(result: SceneResult, iou: float) -> np.ndarray:
    """(N,) whether each found box is a hit; see `partners`."""
    return partners(result, iou) >= 0


def precision(results: Sequence[SceneResult], iou: float) -> Precision:
    """Precision over all scenes together, whatever the classes."""
    truth = sum(len(result.truth) for result in results)
    return _pooled([result.scores for result in results], [match(result, iou) for result in results], truth)


def group_precision(results: Sequence[SceneResult], iou: float, names: Collection[str]) -> Precision:
    """Precision for the things of some classes, whatever class a hit is called.

    Boxes that hit other things are left out. A false box counts if the class that it is called is among `names`.
    """
    scores, hits = [], []
    for result in results:
        partner = partners(result, iou)
        wanted = np.array([name in names for name in result.truth_names] + [False])
        called = np.array([name in names for name in result.names], bool)
        chosen = np.where(partner >= 0, wanted[partner], called)
        scores.append(result.scores[chosen])
        hits.append(partner[chosen] >= 0)
    return _pooled(scores, hits, sum(name in names for result in results for name in result.truth_names))


def _pooled(scores: Sequence[np.ndarray], hits: Sequence[np.ndarray], truth: int) -> Precision:
    all_scores, all_hits = np.concatenate([np.empty(0), *scores]), np.concatenate([np.empty(0, bool), *hits])
    order = np.argsort(-all_scores, kind="stable")
    all_scores, all_hits = all_scores[order], all_hits[order]
    if not truth or not len(all_hits):
        return Precision(0.0, all_hits, all_scores, truth)
    recall = np.cumsum(all_hits) / truth
    curve = np.cumsum(all_hits) / np.arange(1, len(all_hits) + 1)
    # The area under the curve that never rises: at each recall the best precision from there on.
    curve = np.maximum.accumulate(curve[::-1])[::-1]
    average = float((np.diff(recall, prepend=0.0) * curve).sum())
    return Precision(average, all_hits, all_scores, truth)


def class_precisions(results: Sequence[SceneResult], iou: float) -> dict[str, Precision]:
    """Precision of each class that occurs in the truth, by name."""
    names = sorted({name for result in results for name in result.truth_names})
    return {name: precision([result.of_class(name) for result in results], iou) for name in names}
