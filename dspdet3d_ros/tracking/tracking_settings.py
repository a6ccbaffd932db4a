"""The settings of tracking."""

from __future__ import annotations

from dataclasses import dataclass

from dspdet3d_ros.validation import AT_LEAST_ONE, SHARE, check_fields


@dataclass(frozen=True)
class TrackingSettings:
    """Rules for matching detections to known objects, and for new and lost objects.

    Attributes:
        births: an object is reported once it was detected in so many clouds.
        deaths: an object is forgotten once so many clouds in a row show its place empty.
        patience: an object is forgotten once it was not detected in so many clouds in a row although its place has
            points, as when something else stands there.
        least_overlap: least IoU of a detection with the object that it is taken for, 0..1. Where the centre of one
            lies in the other, no overlap is needed: thin boxes that move by a few millimetres hardly overlap.
        smoothing: weight of the newest box, 0..1; 1 does not smooth. The first boxes of an object have equal weights.
        memory: share of the class evidence that is kept from one detection to the next, 0..1.

    Raises:
        InputError: a value is out of range.
    """

    births: int = 2
    deaths: int = 2
    patience: int = 8
    least_overlap: float = 0.1
    smoothing: float = 0.3
    memory: float = 0.9

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("births", "deaths", "patience"), AT_LEAST_ONE)
        check_fields(self, {**counts, **dict.fromkeys(("least_overlap", "smoothing", "memory"), SHARE)})
