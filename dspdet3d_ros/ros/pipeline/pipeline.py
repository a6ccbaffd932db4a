"""From a cloud message to detections, in the worker's thread."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rclpy.constants import S_TO_NS
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from dspdet3d_ros.clouds.pointcloud2 import CloudLayoutError, check, decode
from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.detector.object_points import ObjectPoints, points_of_objects
from dspdet3d_ros.detector.plausibility import doubts
from dspdet3d_ros.detector.result import Detections, DetectionSettings
from dspdet3d_ros.remarks import Remark
from dspdet3d_ros.ros.pipeline.frames import TargetFrame

if TYPE_CHECKING:
    # Only for its name: it imports torch, which takes seconds.
    from dspdet3d_ros.detector.predictor import Detector


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
        header: stamp of the cloud, and the frame of the boxes.
        detections: boxes that can be published.
        settings: the thresholds that applied.
        objects: the cloud's points in the boxes, where somebody listens to them.
        doubts: why the boxes may be wrong.
    """

    arrival: Arrival
    header: Header
    detections: Detections
    settings: DetectionSettings
    objects: ObjectPoints | None = None
    doubts: tuple[Remark, ...] = ()


def check_message(message: PointCloud2) -> None:
    """Refuses a cloud that cannot be used, in microseconds.

    Raises:
        CloudLayoutError: names the field.
    """
    stamp = message.header.stamp
    if stamp.nanosec >= S_TO_NS:
        raise CloudLayoutError("stamp", f"header.stamp.nanosec is {stamp.nanosec}, expected less than a second")
    if stamp.sec < 0:
        raise CloudLayoutError("stamp", f"header.stamp.sec is {stamp.sec}, expected no time before 1970")
    check(message)


def free_gpu_memory() -> None:
    """Gives back to the driver what freed tensors leave in torch's cache."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def gpu_memory_bytes() -> int:
    """What torch's tensors hold of the GPUs' memory; 0 where no GPU is used."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    return sum(torch.cuda.memory_allocated(number) for number in range(torch.cuda.device_count()))


class Pipeline:
    """Decodes a cloud and runs the detector with the settings of that moment.

    Args:
        detector: the model.
        settings: gives the present settings as one object; asked once for each cloud.
        target: the frame to which clouds are brought; None leaves them in their own.
        wants_objects: whether anybody listens to the points in the boxes; asked once for each cloud.
        remark: takes the remarks on each cloud that was decoded, before the detector works on it.
    """

    def __init__(
        self,
        detector: "Detector",
        settings: Callable[[], DetectionSettings],
        target: TargetFrame | None = None,
        wants_objects: Callable[[], bool] = lambda: False,
        remark: Callable[[Sequence[Remark]], None] = lambda remarks: None,
    ) -> None:
        self._detector, self._settings, self._target = detector, settings, target
        self._wants_objects, self._remark = wants_objects, remark

    def __call__(self, arrival: Arrival) -> Found:
        """Finds boxes in a cloud.

        Raises:
            InputError: the cloud cannot be used.
        """
        start = time.perf_counter()
        wants_objects = self._wants_objects()
        cloud = decode(arrival.message, with_rgb=wants_objects)
        decode_ms = (time.perf_counter() - start) * 1e3
        xyz, header, stage_ms = cloud.xyz, arrival.message.header, {"decode": decode_ms}
        if self._target is not None:
            start = time.perf_counter()
            xyz, header = self._target.bring(xyz, header)
            stage_ms["transform"] = (time.perf_counter() - start) * 1e3
        self._remark((*cloud.remarks, *_header_remarks(header)))
        settings = self._settings()
        found = self._detector(xyz, settings)
        objects, after_ms = None, {}
        if wants_objects:
            start = time.perf_counter()
            objects = points_of_objects(xyz, cloud.rgb, found.boxes, found.labels)
            after_ms["object_points"] = (time.perf_counter() - start) * 1e3
        start = time.perf_counter()
        remarks = doubts(xyz, found, self._detector.config)
        after_ms["doubts"] = (time.perf_counter() - start) * 1e3
        stats = replace(
            found.stats,
            points_in=cloud.points_in,
            stage_ms={**stage_ms, **found.stats.stage_ms, **after_ms},
            total_ms=sum(stage_ms.values()) + found.stats.total_ms + sum(after_ms.values()),
        )
        return Found(arrival, header, replace(found, stats=stats), settings, objects, remarks)


def _header_remarks(header: Header) -> list[Remark]:
    """On the header that the boxes get."""
    if header.frame_id:
        return []
    return [
        Remark(
            "frame_id",
            "header.frame_id is empty: the boxes are published without a frame, so RViz and tf2 cannot place them; "
            "set it in the publisher",
        )
    ]
