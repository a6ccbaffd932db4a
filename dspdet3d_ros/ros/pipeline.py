"""From a cloud message to detections, in the worker's thread."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sensor_msgs.msg import PointCloud2

from dspdet3d_ros.clouds.pointcloud2 import CloudLayoutError, check, decode
from dspdet3d_ros.detector.result import Detections, DetectionSettings
from dspdet3d_ros.ros.messages import publishable

if TYPE_CHECKING:
    # Only for its name: it imports torch, which takes seconds.
    from dspdet3d_ros.detector.predictor import Detector

NANOSECONDS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True)
class Arrival:
    """A cloud and when it came.

    Attributes:
        message: the cloud.
        time_s: `time.monotonic()` at its arrival.
    """

    message: PointCloud2
    time_s: float


@dataclass(frozen=True)
class Found:
    """A cloud and what was found in it.

    Attributes:
        arrival: the cloud.
        detections: boxes that can be published.
        unusable: number of boxes left out because they were not finite or had no volume.
    """

    arrival: Arrival
    detections: Detections
    unusable: int


def check_message(message: PointCloud2) -> None:
    """Refuses a cloud that cannot be used, in microseconds.

    Raises:
        CloudLayoutError: names the field.
    """
    nanosec = message.header.stamp.nanosec
    if nanosec >= NANOSECONDS_PER_SECOND:
        raise CloudLayoutError("stamp", f"header.stamp.nanosec is {nanosec}; expected less than a second")
    check(message)


def free_gpu_memory() -> None:
    """Gives back to the driver what freed tensors leave in torch's cache."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class Pipeline:
    """Decodes a cloud and runs the detector with the settings of that moment.

    Args:
        detector: the model.
        settings: gives the present settings as one object; asked once for each cloud.
    """

    def __init__(self, detector: "Detector", settings: Callable[[], DetectionSettings]) -> None:
        self._detector, self._settings = detector, settings

    def __call__(self, arrival: Arrival) -> Found:
        """Finds boxes in a cloud.

        Raises:
            InputError: the cloud cannot be used.
        """
        start = time.perf_counter()
        cloud = decode(arrival.message)
        decode_ms = (time.perf_counter() - start) * 1e3
        found = self._detector(cloud.xyz, self._settings())
        good = publishable(found)
        stats = replace(
            found.stats,
            points_in=cloud.points_in,
            stage_ms={"decode": decode_ms, **found.stats.stage_ms},
            total_ms=decode_ms + found.stats.total_ms,
        )
        detections = Detections(found.boxes[good], found.scores[good], found.labels[good], found.class_names, stats)
        return Found(arrival, detections, unusable=len(found) - len(detections))
