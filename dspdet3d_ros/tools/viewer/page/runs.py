"""What the detector finds at each pruning threshold that a page shows."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.result import Detections, DetectionSettings

#: Shown beside the pruning threshold that was asked for.
SHOWN_TAUS = (0.0, 0.2, 0.4, 0.6, 0.8)
#: The least score to which the page's slider goes: below it there are more boxes than one can look at.
LEAST_SCORE = 0.05


def least_score(score: float) -> float:
    """The score to which the page's slider goes where `score` is shown first."""
    return min(score, LEAST_SCORE)


def runs_at(
    taus: Iterable[float], detector: Detector, xyz: np.ndarray, settings: DetectionSettings
) -> tuple[Detections, ...]:
    """One run for each pruning threshold, least first, with the boxes of every score that the slider reaches.

    A lower score threshold only adds boxes: duplicates give way to better ones, never to worse (DSPDet3D, section 3.2).

    Args:
        taus: pruning thresholds; that of `settings` is run with them.
        detector: has run before, so that the times are not those of a first run.
        xyz: (N, 3) metres.
        settings: everything but the pruning threshold.
    """
    low = least_score(settings.score_threshold)
    chosen = sorted({settings.pruning_threshold, *taus})
    return tuple(detector(xyz, replace(settings, pruning_threshold=tau, score_threshold=low)) for tau in chosen)
