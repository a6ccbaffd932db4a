"""From a cloud message to detections, in the worker's thread."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rclpy.constants import S_TO_NS
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.pointcloud2 import CloudLayout, CloudLayoutError, check, decode
from dspdet3d_ros.clouds.region import RegionOfInterest
from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.detector.object_points import ObjectPoints, points_of_objects
from dspdet3d_ros.detector.orientation import fit_orientations
from dspdet3d_ros.detector.plausibility import Plausibility, range_remarks
from dspdet3d_ros.detector.result import Detections, DetectionSettings
from dspdet3d_ros.ros.pipeline.frames import TargetFrame
from dspdet3d_ros.ros.placement import Placement
from dspdet3d_ros.ros.results import CloudResult, TrackedScene
from dspdet3d_ros.system import torch_threads
from dspdet3d_ros.tracking.tracked_frame import TrackedFrame
from dspdet3d_ros.tracking.tracking_settings import TrackingSettings

if TYPE_CHECKING:
    # Only for its name: it imports torch, which takes seconds.
    from dspdet3d_ros.detector.predictor import Detector


@dataclass(frozen=True)
class Arrival:
    """A cloud and the time of its arrival.

    Attributes:
        message: the cloud.
        layout: where its points are, as `check_message` found.
        time_s: `time.monotonic()` at its arrival; identifies the cloud.
        wanted: whether an output had a subscriber then; if not, the cloud waits for one.
    """

    message: PointCloud2
    layout: CloudLayout
    time_s: float
    wanted: bool = True


def check_message(message: PointCloud2) -> CloudLayout:
    """The layout of the points of a cloud; refuses a cloud that cannot be used. Takes microseconds.

    Raises:
        CloudLayoutError: names the field.
    """
    stamp = message.header.stamp
    if stamp.nanosec >= S_TO_NS:
        raise CloudLayoutError("stamp", f"header.stamp.nanosec is {stamp.nanosec}, expected less than a second")
    if stamp.sec < 0:
        raise CloudLayoutError("stamp", f"header.stamp.sec is {stamp.sec}, expected no time before 1970")
    return check(message)


def free_gpu_memory() -> None:
    """Returns the memory of freed tensors from torch's cache to the driver."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def gpu_memory_bytes() -> int:
    """GPU memory of torch's tensors; 0 if no GPU is used."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    return sum(torch.cuda.memory_allocated(number) for number in range(torch.cuda.device_count()))


@dataclass(frozen=True)
class Found:
    """The result of a cloud that is not one of the stream.

    Attributes:
        result: the detections.
        remarks: on the cloud and the boxes.
    """

    result: CloudResult
    remarks: tuple[Remark, ...]


class Pipeline:
    """Decodes a cloud and runs the detector with the settings of that moment.

    Args:
        detector: the model.
        settings: gives the present settings as one object; asked once for each cloud.
        target: the frame to which clouds are brought; None leaves them in their own.
        wants_objects: whether the points in the boxes have a subscriber; asked once for each cloud.
        remark: takes the remarks on each "message" that was decoded and on its "cloud", before the detector works on
            it, and then those on its "boxes".
        threads: number of CPU threads for the detector; None: torch's own choice.
        tracking: gives the present settings of tracking; None leaves objects without identity.
        wants_scene: whether the objects for a planner have a subscriber; asked once for each cloud.
    """

    def __init__(
        self,
        detector: "Detector",
        settings: Callable[[], DetectionSettings],
        target: TargetFrame | None = None,
        wants_objects: Callable[[], bool] = lambda: False,
        remark: Callable[[Sequence[Remark], str], None] = lambda remarks, on: None,
        threads: int | None = None,
        tracking: Callable[[], TrackingSettings | None] = lambda: None,
        wants_scene: Callable[[], bool] = lambda: False,
    ) -> None:
        self._objects = TrackedFrame(tracking)
        # For a planner, while objects are not tracked for all outputs. It needs an object from the first cloud on.
        self._wants_scene, self._scene = wants_scene, TrackedFrame(lambda: TrackingSettings(births=1))
        self._detector, self._settings, self._target = detector, settings, target
        self._wants_objects, self._remark, self._threads = wants_objects, remark, threads

    def __call__(self, arrival: Arrival) -> CloudResult:
        """Finds boxes in a cloud.

        Raises:
            InputError: the cloud cannot be used.
        """
        with torch_threads(self._threads):
            everything = (self._settings(), self._wants_objects(), self._remark)
            return self._find(arrival, *everything, self._objects, self._wants_scene())

    def forget_objects(self) -> None:
        """Forgets all tracked objects, before the next cloud."""
        self._objects.forget()
        self._scene.forget()

    def once(self, arrival: Arrival, change: Callable[[DetectionSettings], DetectionSettings]) -> Found:
        """Finds boxes in a cloud that is not one of the stream, with changed settings; its remarks go to nobody else.

        Raises:
            InputError: the cloud cannot be used.
        """
        remarks: list[Remark] = []
        with torch_threads(self._threads):
            settings = change(self._settings())
            found = self._find(arrival, settings, False, lambda more, on: remarks.extend(more))
        return Found(found, tuple(remarks))

    def object_points(self, message: PointCloud2, found: CloudResult) -> ObjectPoints:
        """The points in the boxes that were found earlier in the same cloud."""
        cloud = decode(message, with_rgb=True)
        # Colours were not decoded before.
        self._remark((*cloud.remarks, *_header_remarks(found.placement.header)), "message")
        cloud = _in_region(replace(cloud, xyz=found.placement.apply(cloud.xyz)), found.settings)
        return points_of_objects(cloud.xyz, cloud.rgb, found.detections.boxes, found.detections.labels)

    def _find(
        self,
        arrival: Arrival,
        settings: DetectionSettings,
        wants_objects: bool,
        remark: Callable[[Sequence[Remark], str], None],
        tracked: TrackedFrame | None = None,
        wants_scene: bool = False,
    ) -> CloudResult:
        message = arrival.message
        start_s = arrival.time_s if arrival.wanted else time.monotonic()
        start = time.perf_counter()
        cloud = decode(message, wants_objects, arrival.layout)
        decode_ms = (time.perf_counter() - start) * 1e3
        placement, stage_ms = Placement(message.header), {"decode": decode_ms}
        if self._target is not None:
            start = time.perf_counter()
            placement = self._target.find(message.header)
            cloud = replace(cloud, xyz=placement.apply(cloud.xyz))
            stage_ms["transform"] = (time.perf_counter() - start) * 1e3
        start = time.perf_counter()
        cloud = _in_region(cloud, settings)
        if cloud.outside:
            stage_ms["region"] = (time.perf_counter() - start) * 1e3
        start = time.perf_counter()
        plausibility = Plausibility(cloud.xyz, self._detector.config)
        stage_ms["plausibility"] = (time.perf_counter() - start) * 1e3
        # Before the network, which may take long for a cloud in a wrong unit, or refuse it.
        remark((*cloud.remarks, *_header_remarks(placement.header)), "message")
        remark(plausibility.of_cloud, "cloud")
        found = self._detector(cloud, settings)
        remark((*plausibility.of_boxes(found), *range_remarks(found.stats)), "boxes")
        objects, scene, after_ms = None, None, {}
        start = time.perf_counter()
        if tracked is not None and tracked.follow(placement.header.frame_id):
            found = tracked.update(found, cloud.xyz)
            after_ms["tracking"] = (time.perf_counter() - start) * 1e3
        planned = self._planned(found, cloud, placement.header.frame_id) if wants_scene and found.ids is None else found
        if settings.box_orientation == "fitted":
            start = time.perf_counter()
            found, planned = (fit_orientations(cloud, part) for part in (found, planned))
            after_ms["orientation"] = (time.perf_counter() - start) * 1e3
        if wants_objects:
            start = time.perf_counter()
            objects = points_of_objects(cloud.xyz, cloud.rgb, found.boxes, found.labels)
            after_ms["object_points"] = (time.perf_counter() - start) * 1e3
        stats = replace(
            found.stats,
            stage_ms={**stage_ms, **found.stats.stage_ms, **after_ms},
            total_ms=sum(stage_ms.values()) + found.stats.total_ms + sum(after_ms.values()),
        )
        if wants_scene:
            own = tracked if tracked is not None and found.ids is not None else self._scene
            scene = TrackedScene(planned, own.known)
        return CloudResult(arrival.time_s, start_s, placement, replace(found, stats=stats), settings, objects, scene)

    def _planned(self, found: Detections, cloud: PointCloud, frame: str) -> Detections:
        """The objects for a planner, with numbers."""
        self._scene.follow(frame)
        return self._scene.update(found, cloud.xyz)


def _in_region(cloud: PointCloud, settings: DetectionSettings) -> PointCloud:
    """The points of a cloud, in the frame of the boxes, that are in the region of interest."""
    region = RegionOfInterest.of(settings.roi_min, settings.roi_max)
    return cloud if region is None else region.crop(cloud)


def _header_remarks(header: Header) -> list[Remark]:
    """Remarks on the header of the boxes."""
    if header.frame_id:
        return []
    return [
        Remark(
            "frame_id",
            "header.frame_id is empty: the boxes are published without a frame, so RViz and tf2 cannot place them; "
            "set it in the publisher",
        )
    ]
