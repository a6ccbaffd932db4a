"""Results of clouds, and counts of the clouds, as the folders of `ros` share them. Imports no ROS."""

from dataclasses import dataclass

from dspdet3d_ros.detector.object_points import ObjectPoints
from dspdet3d_ros.detector.result import Detections, DetectionSettings, DetectionStats
from dspdet3d_ros.ros.placement import Placement


@dataclass(frozen=True)
class Counts:
    """Numbers of items since the last reset.

    Attributes:
        received: items that arrived: the sum of all the others and `waiting`.
        processed: items whose results were delivered.
        dropped: items replaced by newer ones while they waited for the thread.
        refused: items that could not be used.
        ignored: items replaced by newer ones while nobody wanted a result.
    """

    received: int = 0
    processed: int = 0
    dropped: int = 0
    refused: int = 0
    ignored: int = 0

    @property
    def waiting(self) -> int:
        """Items without an outcome so far: one that is processed and one that waits, at the most."""
        return self.received - self.processed - self.dropped - self.refused - self.ignored


@dataclass(frozen=True)
class CloudResult:
    """The detections of a cloud.

    Attributes:
        arrival_s: when the cloud came; see `Arrival`.
        start_s: `time.monotonic()` from which the latency counts: the cloud's arrival, or, if no output had a
            subscriber then, the start of the
            work on it.
        placement: the transform of the cloud to the frame of the boxes; its header is that of the result's messages.
        detections: boxes that can be published.
        settings: the thresholds that applied.
        objects: the cloud's points in the boxes; None if they had no subscriber.
    """

    arrival_s: float
    start_s: float
    placement: Placement
    detections: Detections
    settings: DetectionSettings
    objects: ObjectPoints | None = None


@dataclass(frozen=True)
class LastResult:
    """The result of the latest cloud.

    Attributes:
        boxes: number of boxes published.
        stats: figures of the run.
        settings: the thresholds that applied.
    """

    boxes: int
    stats: DetectionStats
    settings: DetectionSettings
