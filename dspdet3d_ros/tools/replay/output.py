"""The files that a replay writes: a bag that RViz and Foxglove play, JSON lines, and a summary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.errors import unwritable
from dspdet3d_ros.mapping.refusals import counts_text
from dspdet3d_ros.message_contents import TYPES, MessageContents, Timing
from dspdet3d_ros.output_files import write_json
from dspdet3d_ros.recordings.bags import BagWriter, Record
from dspdet3d_ros.recordings.types import MessageTypes, make
from dspdet3d_ros.tools.viewer.summary import as_json

BAG, LINES, SUMMARY = "results", "detections.jsonl", "summary.json"
#: The topics of the detector node, and of the accumulator node.
DETECTIONS, MARKERS, STATS, LABELS, MAP = (
    "/dspdet3d/output/detections",
    "/dspdet3d/output/markers",
    "/dspdet3d/output/stats",
    "/dspdet3d/output/label_info",
    "/accumulator/output/points",
)


@dataclass
class Doubt:
    """Remarks of one kind on clouds and boxes.

    Attributes:
        text: of the first one.
        clouds: number of clouds with such a remark.
    """

    text: str
    clouds: int = 0


@dataclass
class Summary:
    """The result of a bag.

    Attributes:
        bag: path of the bag.
        topics: that were read.
        clouds: number of clouds in which objects were detected.
        reused: number of them whose detections an earlier run had computed.
        frames: number of depth images in the map.
        refused: number of messages that could not be used, by reason.
        refusals: the first ones of them.
        remarks: how doubtful inputs were taken.
        losses: parts of the bag that could not be read.
        doubts: why boxes may be wrong or missing, by kind.
        boxes: number of boxes in all clouds.
        objects: number of tracked objects; None without tracking.
        classes: number of boxes of the last cloud, by class.
        recorded_s: recorded time from the first to the last input.
        seconds: that the replay took.
        conditions: settings and bag that the results belong to.
    """

    bag: str
    topics: list[str]
    clouds: int = 0
    reused: int = 0
    frames: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    doubts: dict[str, Doubt] = field(default_factory=dict)
    boxes: int = 0
    objects: int | None = None
    classes: dict[str, int] = field(default_factory=dict)
    recorded_s: float = 0.0
    seconds: float = 0.0
    conditions: dict[str, Any] = field(default_factory=dict)

    def as_text(self) -> str:
        """Lines for the terminal."""
        speed = f" ({self.recorded_s / self.seconds:.2f} times as fast as recorded)" if self.seconds else ""
        lines = [f"{self.bag}: {self.clouds} clouds, {self.boxes} boxes, {self.seconds:.1f} s{speed}"]
        if self.frames or self.refused:
            lines.append(f"  {self.frames} frames in the map; refused: {counts_text(self.refused)}")
        lines += [f"  {text}" for text in (*self.refusals, *self.remarks, *(f"lost: {loss}" for loss in self.losses))]
        lines += [f"  doubtful in {doubt.clouds} clouds: {doubt.text}" for doubt in self.doubts.values()]
        if self.reused:
            lines.append(f"  {self.reused} clouds were computed by an earlier run")
        classes = ", ".join(f"{count} {name}" for name, count in sorted(self.classes.items())) or "nothing"
        lines.append(f"  last cloud: {classes}" + ("" if self.objects is None else f"; {self.objects} objects in all"))
        return "\n".join(lines)


class Output:
    """Writes the results of one bag. Bag and lines appear when `close` is called.

    Args:
        folder: for the results.
        storage: format of the bag.
        model: name of the model.
        class_names: that it knows.
        score_threshold: lowest score of a box.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(
        self, folder: Path, storage: str, model: str, class_names: tuple[str, ...], score_threshold: float
    ) -> None:
        self.folder = folder
        self._model, self._labels = model, (class_names, score_threshold)
        self._bag = BagWriter(folder / BAG, storage)
        self._contents = MessageContents(MessageTypes(*TYPES))
        self._lines: list[str] = []
        self._counts = _Counts()

    def copy(self, record: Record) -> None:
        """Adds a message of tf as it is."""
        self._bag.write(record.topic, record.message, record.time_ns, latched=record.topic.endswith("static"))

    def add(
        self, header: Any, time_ns: int, detections: Detections, doubts: Sequence[Remark], cloud: PointCloud | None
    ) -> None:
        """Adds the result of a cloud.

        Args:
            header: of the cloud.
            time_ns: when it was recorded.
            detections: in the cloud.
            doubts: why they may be wrong.
            cloud: the cloud itself, where it is one of the map.
        """
        stamp_ns = header.stamp.sec * 10**9 + header.stamp.nanosec
        self._counts.received = self._counts.processed = self._counts.processed + 1
        header = make(
            "std_msgs/msg/Header",
            stamp=make("builtin_interfaces/msg/Time", sec=header.stamp.sec, nanosec=header.stamp.nanosec),
            frame_id=header.frame_id,
        )
        of = self._contents
        if self._counts.processed == 1:
            self._bag.write(LABELS, of.label_info(*self._labels, header), time_ns, latched=True)
        timing = Timing(detections.stats.total_ms, (time_ns - stamp_ns) / 1e6)
        self._bag.write(DETECTIONS, of.detection_array(header, detections), time_ns)
        self._bag.write(MARKERS, of.marker_array(header, detections), time_ns)
        self._bag.write(STATS, of.stats(header, detections, self._model, timing, self._counts), time_ns)
        if cloud is not None:
            self._bag.write(MAP, of.cloud(header, cloud.xyz, cloud.rgb), time_ns)
        plain = as_json(detections, header.frame_id, (header.stamp.sec, header.stamp.nanosec), doubts)
        if detections.ids is not None:
            for item, identity in zip(plain["detections"], detections.ids, strict=True):
                item["id"] = int(identity)
        self._lines.append(json.dumps(plain))

    def close(self, summary: Summary) -> None:
        """Finishes bag, lines and summary.

        Raises:
            InputError: a file cannot be written.
        """
        lines = self.folder / LINES
        try:
            lines.write_text("".join(f"{line}\n" for line in self._lines), encoding="utf-8")
        except OSError as error:
            raise unwritable(lines, error) from error
        self._bag.close()
        write_json(self.folder / SUMMARY, asdict(summary))

    def abandon(self) -> None:
        """Leaves no bag behind."""
        self._bag.abandon()


@dataclass
class _Counts:
    received: int = 0
    processed: int = 0
    dropped: int = 0
    refused: int = 0
