"""The contents of a page as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.cloud import LabelledBoxes, PointCloud
from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.tools.viewer.page.runs import least_score
from dspdet3d_ros.tools.viewer.page.shown_points import ShownPoints
from dspdet3d_ros.tools.viewer.picture.framing import cut_height, extent, near_region
from dspdet3d_ros.tools.viewer.picture.views import ELEVATION_DEG, best_azimuth, inside

#: Number of further classes that are shown for a box.
OTHERS = 2


@dataclass(frozen=True)
class PageContents:
    """The contents of a page about one cloud.

    Attributes:
        name: name of the cloud.
        cloud: the cloud, with ground truth if it has one.
        runs: detections at each pruning threshold; at least one.
        tau: the pruning threshold that the page shows first; one of those in `runs`.
        score: the score threshold that the page shows first.
        model: name of the model.
        voxel_size: metres; cells of level l are `4·2^l` voxels wide.
        doubts: why the boxes may be wrong.
    """

    name: str
    cloud: PointCloud
    runs: Sequence[Detections]
    tau: float
    score: float
    model: str
    voxel_size: float
    doubts: Sequence[Remark] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain values for the script of the page; metres, in the frame of the cloud."""
        shown = ShownPoints.of(self.cloud)
        first = next(run for run in self.runs if run.stats.pruning_threshold == self.tau)
        truth = self.cloud.truth
        return {
            "name": self.name,
            "model": self.model,
            "doubts": [doubt.text for doubt in self.doubts],
            "device": first.stats.device,
            "backend": first.stats.backend,
            "voxels": first.stats.voxels,
            "tau": self.tau,
            "score": self.score,
            "least_score": least_score(self.score),
            "classes": list(first.class_names),
            "cells_m": [4 * 2**cells.level * self.voxel_size for cells in first.stats.levels],
            "runs": [_run(run) for run in self.runs],
            "truth": None if truth is None else {"names": list(truth.names), "boxes": _rounded(truth.boxes)},
            "view": _view(shown.xyz, first.boxes[first.scores >= self.score], truth),
            "points": shown.as_json(),
        }


def _run(run: Detections) -> dict[str, Any]:
    stats = run.stats
    return {
        "tau": stats.pruning_threshold,
        "total_ms": stats.total_ms,
        "stage_ms": [[name, ms] for name, ms in stats.stage_ms.items()],
        "kept": [cells.kept for cells in stats.levels],
        "dropped": sum(cells.dropped for cells in stats.levels),
        "boxes": _rounded(run.boxes if run.turned is None else run.turned),
        "scores": run.scores.astype(float).tolist(),
        "labels": run.labels.tolist(),
        "others": [_others(run, i) for i in range(len(run))],
    }


def _others(run: Detections, i: int) -> list[list[str | float]]:
    """Names and scores of the next best classes of box i."""
    return [[name, round(score, 4)] for name, score in run.hypotheses(i)[1 : 1 + OTHERS]]


def _rounded(boxes: np.ndarray) -> list[list[float]]:
    """Boxes, with a yaw if they are turned, rounded to a tenth of a millimetre, which makes the file smaller."""
    return np.asarray(boxes, np.float64).round(4).tolist()


def _view(xyz: np.ndarray, predicted: np.ndarray, truth: LabelledBoxes | None) -> dict[str, Any]:
    """First viewpoint and hidden part of the cloud, as in the pictures."""
    boxes = np.concatenate(
        [part.reshape(-1, 6) for part in (predicted, np.empty((0, 6)) if truth is None else truth.boxes)]
    )
    cut = cut_height(xyz[:, 2], boxes)
    below = xyz[xyz[:, 2] < cut]
    room = extent(below, boxes)
    near = near_region(boxes, room)
    azimuth = best_azimuth(below, inside(below, boxes) if len(boxes) else np.ones(len(below), bool), near)
    return {
        "azimuth_deg": azimuth,
        "elevation_deg": ELEVATION_DEG,
        "low": near.low.tolist(),
        "high": near.high.tolist(),
        "room_low": room.low.tolist(),
        "room_high": room.high.tolist(),
        "cut": cut if np.isfinite(cut) else None,
    }
