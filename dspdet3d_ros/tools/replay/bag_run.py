"""Replays one bag."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.pointcloud2 import decode
from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.detector.plausibility import range_remarks
from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.errors import InputError, one_line
from dspdet3d_ros.mapping.accumulator import Accumulator
from dspdet3d_ros.mapping.frame import RGBDFrame
from dspdet3d_ros.mapping.pairing import stamp_ns
from dspdet3d_ros.mapping.refusals import Refusals
from dspdet3d_ros.output_files import make_folder
from dspdet3d_ros.recordings.bags import BagReader, Record
from dspdet3d_ros.recordings.transforms import TransformError, Transforms
from dspdet3d_ros.recordings.types import make
from dspdet3d_ros.tools.batch.job import LoadedJob
from dspdet3d_ros.tools.replay.bag_inputs import (
    CLOUD,
    TRANSFORMS,
    Inputs,
    choose_inputs,
    is_static,
    unclear_images,
)
from dspdet3d_ros.tools.replay.cache import Cache
from dspdet3d_ros.tools.replay.output import Doubt, Output, Summary
from dspdet3d_ros.tools.replay.recorded_frames import RecordedFrames, add_transforms
from dspdet3d_ros.tools.replay.replay_settings import ReplaySettings
from dspdet3d_ros.tools.replay.stamp_order import by_stamp
from dspdet3d_ros.tracking.tracker import Tracker, track

# So many restarts of the map are remarked on, as after each loop of a recording.
_LISTED_RESTARTS = 3


def replay(
    path: Path,
    folder: Path,
    job: LoadedJob,
    settings: ReplaySettings,
    conditions: dict[str, Any],
    progress: Callable[[Iterator[Record], int], Iterator[Record]] = lambda records, total: records,
) -> Summary:
    """Detects objects in a bag and writes the results.

    Args:
        path: the bag.
        folder: for the results.
        job: the model with its thresholds.
        settings: see there.
        conditions: settings and bag that the results belong to, for the summary.
        progress: shows how many messages are done.

    Raises:
        InputError: the bag has no usable input, or the results cannot be written.
    """
    with BagReader(path) as bag:
        inputs = _inputs(bag, settings)
        make_folder(folder)
        cache = Cache(folder, _description(job, settings, inputs.names), settings.resume)
        output = Output(
            folder,
            settings.storage,
            job.detector.model_name,
            job.detector.class_names,
            job.settings.score_threshold,
        )
        run = _Run(bag, job, settings, inputs.names, cache, output)
        try:
            total = sum(topic.count for topic in bag.topics if topic.name in inputs.names)
            frames = (
                None
                if inputs.cloud
                else RecordedFrames(
                    inputs,
                    bag.first(inputs.poses) if inputs.poses else None,
                    settings.world,
                    settings.tolerance_s,
                    settings.units_per_metre,
                    settings.mount,
                    run.take_frame,
                    run.refusals,
                )
            )
            transforms = run.transforms if frames is None else frames.transforms
            # They hold from the beginning, although a recorder may get them late.
            for record in bag.records([name for name in inputs.transforms if is_static(name)]):
                add_transforms(transforms, record)
            run.work(progress(bag.records(inputs.names), total), frames)
            run.remarks += [] if frames is None else frames.remarks
            summary = replace(run.summary(path), conditions=conditions)
            output.close(summary)
        except BaseException:
            output.abandon()
            raise
        finally:
            cache.close()
    return summary


def _inputs(bag: BagReader, settings: ReplaySettings) -> Inputs:
    """The topics that are read. Where names do not say what an image shows, its encoding does."""
    first = {name: bag.first(name) for name in unclear_images(bag.topics)}
    encodings = {
        name: str(getattr(message, "encoding", "") or getattr(message, "format", "")) for name, message in first.items()
    }
    return choose_inputs(bag.topics, settings.topics, settings.use_colour, encodings)


def _description(job: LoadedJob, settings: ReplaySettings, topics: Sequence[str]) -> dict[str, Any]:
    """All that detections depend on, as JSON values."""
    detection = asdict(job.settings)
    return {
        "model": job.detector.model_name,
        "checkpoint_sha256": job.detector.checkpoint_sha256,
        "detection": {name: list(v) if isinstance(v, tuple) else v for name, v in detection.items()},
        "map": asdict(settings.map),
        "topics": list(topics),
        "world": settings.world,
        "period_s": settings.period_s,
        "tolerance_s": settings.tolerance_s,
        "units_per_metre": settings.units_per_metre,
        "camera_mount": list(settings.camera_mount),
    }


@dataclass(frozen=True)
class _Result:
    """The result of a cloud; see `Output.add`."""

    header: Any
    time_ns: int
    detections: Detections
    doubts: tuple[Remark, ...]
    xyz: np.ndarray
    shown: PointCloud | None


class _Run:
    """The state of a replay.

    Attributes:
        refusals: what could not be used.
        transforms: of clouds.
        remarks: how doubtful inputs were taken.
    """

    def __init__(
        self,
        bag: BagReader,
        job: LoadedJob,
        settings: ReplaySettings,
        topics: list[str],
        cache: Cache,
        output: Output,
    ) -> None:
        self._bag, self._job, self._settings, self._topics = bag, job, settings, topics
        self._cache, self._output = cache, output
        self._accumulator = Accumulator(settings.map, job.detector.device)
        self._tracker = None if settings.tracking is None else Tracker(settings.tracking)
        self._started = time.perf_counter()
        self._clouds = self._boxes = self._frames = self._restarts = 0
        self._first_ns = self._time_ns = 0
        self._detected_ns: int | None = None
        self._unused: Any = None
        self._last: Detections | None = None
        self.refusals = Refusals()
        self._doubts: dict[str, Doubt] = {}
        self._objects: set[int] = set()
        self.transforms = Transforms()
        self.remarks: list[str] = []
        self._held: list[_Result] = []

    def work(self, records: Iterator[Record], source: RecordedFrames | None) -> None:
        """Takes all messages."""
        for record in by_stamp(records):
            self._time_ns = max(self._time_ns, record.time_ns)
            self._first_ns = min(self._first_ns or record.time_ns, record.time_ns)
            if record.kind == TRANSFORMS:
                self._output.copy(record)
            if record.kind == CLOUD:
                self._take_cloud(record)
            elif source is not None:
                source.take(record)
            elif record.kind == TRANSFORMS:
                add_transforms(self.transforms, record)
        if source is not None:
            source.end()
            if self._unused is not None:
                self._detect_in_map(*self._unused)
        if self._held and self._tracker is not None:
            self._tracker.settings = replace(self._tracker.settings, births=1)
            self.remarks.append(f"few clouds ({self._clouds}): objects are reported from their first detection on")
            self._report_held()

    def take_frame(self, frame: RGBDFrame, depth: Any, world: str) -> None:
        """Adds a frame to the map, and detects objects in it if it is time."""
        time_ns = stamp_ns(depth)
        restarted = self._accumulator.insert(frame).restarted
        if restarted:
            self._restarts += 1
            if self._restarts <= _LISTED_RESTARTS:
                self.remarks.append(f"the map starts again at {time_ns / 1e9:.3f} s: {restarted}")
        self._frames += 1
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
            remarks=self.remarks,
            losses=list(self._bag.losses),
            doubts=self._doubts,
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
                pose = self.transforms.find(self._settings.world, header.frame_id, stamp_ns(record.message), 10**8)
                cloud = replace(cloud, xyz=(cloud.xyz @ pose[:3, :3].T + pose[:3, 3]).astype(cloud.xyz.dtype))
                header = make("std_msgs/msg/Header", stamp=header.stamp, frame_id=self._settings.world)
            self._detect(cloud, header)
        except InputError as error:
            kind = "transform" if isinstance(error, TransformError) else "cloud"
            self.refusals.add(kind, f"cloud of {stamp_ns(record.message) / 1e9:.3f} s: {one_line(error)}")

    def _detect(self, cloud: PointCloud, header: Any, shown: PointCloud | None = None) -> None:
        time_ns, points = header.stamp.sec * 10**9 + header.stamp.nanosec, len(cloud.xyz)
        detector = self._job.detector
        found = self._cache.get(time_ns, points, detector.class_names)
        plausibility = self._job.doubts(cloud)
        if found is None:
            found = detector(cloud, self._job.settings)
            self._cache.add(time_ns, points, found)
        doubts = (
            *cloud.remarks,
            *plausibility.of_cloud,
            *plausibility.of_boxes(found),
            *range_remarks(found.stats),
            *self._job.why_none(found),
        )
        for remark in doubts:
            self._doubts.setdefault(remark.kind, Doubt(remark.text)).clouds += 1
        self._clouds += 1
        self._held.append(_Result(header, self._time_ns, found, doubts, cloud.xyz, shown))
        if self._tracker is None or self._clouds >= self._tracker.settings.births:
            self._report_held()

    def _report_held(self) -> None:
        """Tracks and writes the results that wait until it is known how many clouds the bag has."""
        for held in self._held:
            found = held.detections
            if self._tracker is not None:
                found = track(self._tracker, found, held.xyz)
                assert found.ids is not None
                self._objects.update(found.ids.tolist())
            self._boxes += len(found)
            self._last = found
            self._output.add(held.header, held.time_ns, found, held.doubts, held.shown)
        self._held.clear()
