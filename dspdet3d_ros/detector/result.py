"""Settings and results of one detection run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dspdet3d_ros import defaults


@dataclass(frozen=True)
class DetectionSettings:
    """The thresholds that may change from one cloud to the next.

    Attributes:
        pruning_threshold: τ of the paper (section 3.3), 0..1: cells whose keep probability does not exceed it are not
            refined to finer levels. 0 prunes nothing.
        score_threshold: boxes with a lower class score are dropped, 0..1.
        nms_iou_threshold: of two boxes that overlap more than this the one with the lower score is dropped, 0..1.
        max_detections: the number of best boxes kept at the most.
        max_cells_per_level: the most cells that a level is refined to; if τ would keep more, the cells of the best keep
            scores stay. It bounds time and memory for every τ.
        views: number of turned views of the cloud that the network computes, 1 to `defaults.MAX_VIEWS`; see `View`.
        class_filter: class names to report; empty means all of them. It leaves boxes out and renames none.
        roi_min, roi_max: corners of the region of interest, metres, each of three numbers or empty; points outside are
            as if they were not there (see `clouds.region`).
        box_orientation: one of `defaults.ORIENTATIONS`: "fitted" boxes turn about the vertical with their objects.
    """

    pruning_threshold: float
    score_threshold: float
    nms_iou_threshold: float
    max_detections: int = defaults.MAX_DETECTIONS
    max_cells_per_level: int = defaults.MAX_CELLS_PER_LEVEL
    views: int = 1
    class_filter: tuple[str, ...] = ()
    roi_min: tuple[float, ...] = ()
    roi_max: tuple[float, ...] = ()
    box_orientation: str = "axes"

    def with_given(self, **values: Any) -> DetectionSettings:
        """The settings with some values; one that is None is not given, and stays as it is."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})


@dataclass(frozen=True)
class LevelCells:
    """Cells of one head level (level 0 is the finest).

    Attributes:
        level: 0..3; cells are `4·2^level` voxels wide.
        before: cells at which boxes were predicted, of all views together like the other numbers.
        kept: cells that survived pruning and were refined to the next finer level; equals `before` at level 0.
        dropped: cells that τ would have kept but `max_cells_per_level` did not.
    """

    level: int
    before: int
    kept: int
    dropped: int = 0


@dataclass(frozen=True)
class Shortlist:
    """The effect of the thresholds on the predictions with the best scores, before suppression.

    Attributes:
        predictions: how many there are: at most the `nms_pre` of the model; with fused post-processing those that vote
            or exceed the score threshold, and the best one.
        best_score: the largest score of any class, 0..1; 0 if there are no predictions.
        best_class: the name of its class; empty if there are no predictions.
        over_threshold: predictions that exceed the score threshold for any class.
        of_wanted_classes: predictions that exceed it for a class that they are named and the class filter has.
    """

    predictions: int = 0
    best_score: float = 0.0
    best_class: str = ""
    over_threshold: int = 0
    of_wanted_classes: int = 0


@dataclass(frozen=True)
class DetectionStats:
    """Figures of one run.

    Attributes:
        pruning_threshold: the τ that was used.
        points_in: points given, finite or not.
        points_used: points that went into the voxels: finite, in range, and within the limit on their number.
        voxels: occupied voxels, of the first view.
        levels: cells per level, coarse (3) to fine (0); levels that pruning emptied have zeros.
        stage_ms: wall milliseconds by stage, in order of execution.
        total_ms: wall milliseconds from points to boxes.
        device: "cpu" or "cuda:0".
        backend: name of the sparse engine.
        points_out_of_range: finite points left out because they are too far from most others (`usable_points`).
        points_outside_roi: finite points left out because they are outside the region of interest.
        not_finite: predictions left out because they were not finite, or their boxes without volume or too large for
            float32, of all the cells of all levels. More than 0 means that weights or features have overflowed.
        shortlist: effect of the thresholds. It is not in messages: the node uses it to explain why no box is found.
    """

    pruning_threshold: float
    points_in: int
    points_used: int
    voxels: int
    levels: tuple[LevelCells, ...]
    stage_ms: dict[str, float]
    total_ms: float
    device: str
    backend: str
    points_out_of_range: int = 0
    points_outside_roi: int = 0
    not_finite: int = 0
    shortlist: Shortlist = Shortlist()


@dataclass(frozen=True)
class Detections:
    """Boxes found in one cloud, best score first.

    Attributes:
        boxes: (K, 6) float64, centre x y z and size dx dy dz, metres, axis aligned, in the cloud's own frame.
        scores: (K,) float32 in 0..1.
        labels: (K,) int64, index into `class_names`.
        class_names: the names of all classes that the model knows.
        stats: figures of the run.
        class_scores: (K, n_classes) float32, what each box scores as each class, 0 below the score threshold; None if
            each box stands for one class only (`nms_across_classes` off).
        ids: (K,) int64, numbers of the objects that the boxes belong to; None if objects are not tracked.
        turned: (K, 7) float64 centre, size and yaw (radians about z, -π/4 to π/4) of the boxes that turn with their
            objects; None if they were not fitted. `boxes` stay as the network found them.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    stats: DetectionStats = field(repr=False)
    class_scores: np.ndarray | None = field(default=None, repr=False)
    ids: np.ndarray | None = None
    turned: np.ndarray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def names(self) -> tuple[str, ...]:
        """The class name of each box."""
        return tuple(self.class_names[label] for label in self.labels)

    def hypotheses(self, i: int) -> list[tuple[str, float]]:
        """Class names and scores of box i, best first."""
        if self.class_scores is None:
            return [(self.class_names[self.labels[i]], float(self.scores[i]))]
        row = self.class_scores[i]
        return [(self.class_names[k], float(row[k])) for k in np.argsort(-row, kind="stable") if row[k] > 0]

    @property
    def shown(self) -> np.ndarray:
        """(K, 7) centre, size and yaw of the boxes as they are reported: turned ones if there are some."""
        if self.turned is not None:
            return self.turned
        return np.concatenate([self.boxes, np.zeros((len(self.boxes), 1))], axis=1)

    def select(self, rows: np.ndarray) -> Detections:
        """Some of the boxes: an index array or a mask."""
        return replace(
            self,
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            labels=self.labels[rows],
            class_scores=None if self.class_scores is None else self.class_scores[rows],
            ids=None if self.ids is None else self.ids[rows],
            turned=None if self.turned is None else self.turned[rows],
        )
