"""Replays one bag."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.pointcloud2 import decode
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.result import Detections, DetectionSettings
from dspdet3d_ros.errors import InputError, one_line
from dspdet3d_ros.mapping.accumulator import Accumulator
from dspdet3d_ros.mapping.frame import RGBDFrame
from dspdet3d_ros.mapping.map_settings import MapSettings
from dspdet3d_ros.mapping.pairing import stamp_ns
from dspdet3d_ros.mapping.refusals import Refusals
from dspdet3d_ros.output_files import make_folder
from dspdet3d_ros.recordings.bags import BagReader, Record
from dspdet3d_ros.recordings.transforms import TransformError, Transforms
from dspdet3d_ros.recordings.types import make
from dspdet3d_ros.tools.replay.bag_inputs import CLOUD, TRANSFORMS, choose_inputs
from dspdet3d_ros.tools.replay.cache import Cache
from dspdet3d_ros.tools.replay.output import Output, Summary
from dspdet3d_ros.tools.replay.recorded_frames import RecordedFrames, add_transforms
from dspdet3d_ros.tracking.tracker import Tracker, track
from dspdet3d_ros.tracking.tracking_settings import TrackingSettings


@dataclass(frozen=True)
class ReplaySettings:
    """Settings of a replay.

    Attributes:
        detection: thresholds.
        map: of the map of depth images.
        topics: inputs; empty: chosen by types and names.
        world: frame of the map, or to which clouds are brought; empty: the frame of the poses, or the clouds' own.
        period_s: objects are detected in the map once in so many seconds of recorded time.
        tolerance_s: largest difference between the stamps of depth and colour images.
        units_per_metre: of depth images of 16-bit integers.
        use_colour: whether colour images are read.
        tracking: None leaves objects without identity.
        storage: format of the bag of results.
        resume: use what an earlier run has computed.
    """

    detection: DetectionSettings
    map: MapSettings = field(default_factory=MapSettings)
    topics: tuple[str, ...] = ()
    world: str = ""
    period_s: float = 1.0
    tolerance_s: float = 0.02
    units_per_metre: float = 1000.0
    use_colour: bool = True
    tracking: TrackingSettings | None = field(default_factory=TrackingSettings)
    storage: str = "mcap"
    resume: bool = False


def replay(
    path: Path,
    folder: Path,
    detector: Detector,
    settings: ReplaySettings,
    progress: Callable[[Iterator[Record], int], Iterator[Record]] = lambda records, total: records,
) -> Summary:
    """Detects objects in a bag and writes the results.

    Args:
        path: the bag.
        folder: for the results.
        detector: the model.
        settings: see there.
        progress: shows how many messages are done.

    Raises:
        InputError: the bag has no usable input, or the results cannot be written.
    """
    with BagReader(path) as bag:
        inputs = choose_inputs(bag.topics, settings.topics, settings.use_colour)
        make_folder(folder)
        cache = Cache(folder, _description(detector, settings, inputs.names), settings.resume)
        output = Output(
            folder,
            settings.storage,
            detector.model_name,
            detector.class_names,
            settings.detection.score_threshold,
        )
        run = _Run(bag, detector, settings, inputs.names, cache, output)
        try:
            total = sum(topic.count for topic in bag.topics if topic.name in inputs.names)
            frames = (
                None
                if inputs.cloud
                else RecordedFrames(
                    inputs,
                    settings.world,
                    settings.tolerance_s,
                    settings.units_per_metre,
                    run.take_frame,
                    run.refusals,
                )
            )
            run.work(progress(bag.records(inputs.names), total), frames)
            summary = run.summary(path)
            output.close(summary)
        except BaseException:
            output.abandon()
            raise
        finally:
            cache.close()
    return summary


def _description(detector: Detector, settings: ReplaySettings, topics: Sequence[str]) -> dict[str, Any]:
    """All that detections depend on, as JSON values."""
    detection = asdict(settings.detection)
    return {
        "model": detector.model_name,
        "checkpoint_sha256": detector.checkpoint_sha256,
        "detection": {name: list(v) if isinstance(v, tuple) else v for name, v in detection.items()},
        "map": asdict(settings.map),
        "topics": list(topics),
        "world": settings.world,
        "period_s": settings.period_s,
        "tolerance_s": settings.tolerance_s,
        "units_per_metre": settings.units_per_metre,
    }


class _Run:
    """The state of a replay.

    Attributes:
        refusals: what could not be used.
    """

    def __init__(
        self,
        bag: BagReader,
        detector: Detector,
        settings: ReplaySettings,
        topics: list[str],
        cache: Cache,
        output: Output,
    ) -> None:
        self._bag, self._detector, self._settings, self._topics = bag, detector, settings, topics
        self._cache, self._output = cache, output
        self._accumulator = Accumulator(settings.map, detector.device)
        self._tracker = None if settings.tracking is None else Tracker(settings.tracking)
        self._started = time.perf_counter()
        self._clouds = self._boxes = self._frames = 0
        self._first_ns = self._time_ns = 0
        self._detected_ns: int | None = None
        self._unused: Any = None
        self._last: Detections | None = None
        self.refusals = Refusals()
        self._objects: set[int] = set()
        self._transforms = Transforms()

    def work(self, records: Iterator[Record], source: RecordedFrames | None) -> None:
        """Takes all messages."""
        for record in records:
            self._time_ns = record.time_ns
            self._first_ns = self._first_ns or record.time_ns
            if record.kind == TRANSFORMS:
                self._output.copy(record)
            if record.kind == CLOUD:
                self._take_cloud(record)
            elif source is not None:
                source.take(record)
            elif record.kind == TRANSFORMS:
                add_transforms(self._transforms, record)
        if source is not None:
            source.end()
            if self._unused is not None:
                self._detect_in_map(*self._unused)

    def take_frame(self, frame: RGBDFrame, depth: Any, world: str) -> None:
        """Adds a frame to the map, and detects objects in it if it is time."""
        self._accumulator.insert(frame)
        self._frames += 1
        time_ns = stamp_ns(depth)
        self._unused = depth, world
        if self._detected_ns is None or not 0 <= time_ns - self._detected_ns < self._settings.period_s * 1e9:
            self._detect_in_map(depth, world)

    def summary(self, path: Path) -> Summary:
        """The result."""
        return Summary(
            bag=str(path),
            topics=self._topics,
            clouds=self._clouds,
            reused=self._cache.reused,
            frames=self._frames,
            refused=dict(self.refusals.counts),
            refusals=self.refusals.texts,
            losses=list(self._bag.losses),
            boxes=self._boxes,
            objects=None if self._tracker is None else len(self._objects),
            classes=dict(Counter(self._last.names)) if self._last else {},
            recorded_s=(self._time_ns - self._first_ns) / 1e9,
            seconds=time.perf_counter() - self._started,
        )

    def _detect_in_map(self, depth: Any, world: str) -> None:
        self._detected_ns, self._unused = stamp_ns(depth), None
        cloud = self._accumulator.cloud()
        if len(cloud.xyz):
            self._detect(cloud, make("std_msgs/msg/Header", stamp=depth.header.stamp, frame_id=world), shown=cloud)

    def _take_cloud(self, record: Record) -> None:
        header = record.message.header
        try:
            cloud = decode(record.message)
            if self._settings.world and header.frame_id != self._settings.world:
                pose = self._transforms.find(self._settings.world, header.frame_id, stamp_ns(record.message), 10**8)
                cloud = replace(cloud, xyz=(cloud.xyz @ pose[:3, :3].T + pose[:3, 3]).astype(cloud.xyz.dtype))
                header = make("std_msgs/msg/Header", stamp=header.stamp, frame_id=self._settings.world)
            self._detect(cloud, header)
        except InputError as error:
            kind = "transform" if isinstance(error, TransformError) else "cloud"
            self.refusals.add(kind, f"cloud of {stamp_ns(record.message) / 1e9:.3f} s: {one_line(error)}")

    def _detect(self, cloud: PointCloud, header: Any, shown: PointCloud | None = None) -> None:
        time_ns, points = header.stamp.sec * 10**9 + header.stamp.nanosec, len(cloud.xyz)
        found = self._cache.get(time_ns, points, self._detector.class_names)
        if found is None:
            found = self._detector(cloud, self._settings.detection)
            self._cache.add(time_ns, points, found)
        if self._tracker is not None:
            found = track(self._tracker, found, cloud.xyz)
            assert found.ids is not None
            self._objects.update(found.ids.tolist())
        self._clouds += 1
        self._boxes += len(found)
        self._last = found
        self._output.add(header, self._time_ns, found, shown)
