"""Detections at each pruning threshold that a page shows."""

from collections.abc import Iterable
from dataclasses import replace

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.result import Detections, DetectionSettings

#: Shown in addition to the given pruning threshold.
SHOWN_TAUS = (0.0, 0.2, 0.4, 0.6, 0.8)
#: Minimum of the score slider. Below it there are too many boxes to look at.
LEAST_SCORE = 0.05


def least_score(score: float) -> float:
    """Minimum of the score slider, if the page shows `score` first."""
    return min(score, LEAST_SCORE)


def runs_at(
    taus: Iterable[float], detector: Detector, cloud: PointCloud, settings: DetectionSettings
) -> tuple[Detections, ...]:
    """One run for each pruning threshold, in ascending order, with all boxes that the score slider can show.

    A lower score threshold only adds boxes, because NMS drops a box only for one with a higher score (DSPDet3D, section
    3.2).

    Args:
        taus: pruning thresholds; that of `settings` is added.
        detector: must have run before, so that the times are not those of a first run.
        cloud: in metres.
        settings: all other settings.
    """
    low = least_score(settings.score_threshold)
    chosen = sorted({settings.pruning_threshold, *taus})
    return tuple(detector(cloud, replace(settings, pruning_threshold=tau, score_threshold=low)) for tau in chosen)
