"""The contents of the messages that carry detections, whatever library makes the messages: rclpy or one for bags."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.pointcloud2 import encode
from dspdet3d_ros.detector.object_points import ObjectPoints
from dspdet3d_ros.detector.result import Detections, DetectionSettings, DetectionStats, LevelCells
from dspdet3d_ros.geometry import hulls

#: Full names of the types that `MessageContents` makes.
TYPES = (
    "dspdet3d_ros/msg/PruningStats",
    "geometry_msgs/msg/Point",
    "geometry_msgs/msg/Pose",
    "geometry_msgs/msg/PoseWithCovariance",
    "geometry_msgs/msg/Quaternion",
    "geometry_msgs/msg/Vector3",
    "sensor_msgs/msg/PointCloud2",
    "sensor_msgs/msg/PointField",
    "std_msgs/msg/ColorRGBA",
    "vision_msgs/msg/BoundingBox3D",
    "vision_msgs/msg/Detection3D",
    "vision_msgs/msg/Detection3DArray",
    "vision_msgs/msg/LabelInfo",
    "vision_msgs/msg/ObjectHypothesis",
    "vision_msgs/msg/ObjectHypothesisWithPose",
    "vision_msgs/msg/VisionClass",
    "visualization_msgs/msg/Marker",
    "visualization_msgs/msg/MarkerArray",
)
LABEL_HEIGHT_M = 0.05
REGION_LINE_M = 0.01
# Neighbouring class numbers get hues this far apart, which never repeat.
GOLDEN_RATIO = 0.61803398875
# Constants of visualization_msgs/msg/Marker.
_ADD, _DELETEALL, _CUBE, _LINE_LIST, _TEXT = 0, 3, 1, 5, 9


@dataclass(frozen=True)
class Timing:
    """Latency and age of an answer, milliseconds.

    Attributes:
        latency_ms: from its arrival to its publication, without the time that it waited for a first subscriber.
        age_ms: from its stamp to its publication; NaN if the stamp is zero.
    """

    latency_ms: float
    age_ms: float


class MessageContents:
    """Fills messages.

    Args:
        types: has an attribute for each of `TYPES`, by its short name: the class of the message, or a function that
            makes one. Fields that are not given have default values.
    """

    def __init__(self, types: Any) -> None:
        self._types = types

    def detection_array(self, header: Any, detections: Detections) -> Any:
        """Detection3DArray: the boxes, best first, with class names as `class_id`.

        Fitted boxes are rotated about z; others are parallel to the axes. The first of a detection's `results` is its
        best class; others that reach the score threshold follow. `id` is the number of the tracked object, or empty.
        """
        types, made = self._types, []
        for number, box in enumerate(detections.shown):
            results = [
                types.ObjectHypothesisWithPose(
                    hypothesis=types.ObjectHypothesis(class_id=name, score=score),
                    pose=types.PoseWithCovariance(pose=self._pose(box)),
                )
                for name, score in detections.hypotheses(number)
            ]
            bbox = types.BoundingBox3D(center=self._pose(box), size=self._size(box))
            identity = "" if detections.ids is None else str(detections.ids[number])
            made.append(types.Detection3D(header=header, results=results, bbox=bbox, id=identity))
        return types.Detection3DArray(header=header, detections=made)

    def marker_array(self, header: Any, detections: Detections, settings: DetectionSettings | None = None) -> Any:
        """MarkerArray: deletes all earlier markers, then one box and one text per detection, coloured by class.

        The text of a tracked object ends with its number. A region of interest that is closed is shown by its edges.
        """
        types = self._types
        markers = [types.Marker(header=header, action=_DELETEALL)]
        if settings is not None and settings.roi_min and settings.roi_max:
            markers.append(self._outline(header, settings.roi_min, settings.roi_max))
        for number, (box, label) in enumerate(zip(detections.shown, detections.labels, strict=True)):
            text = f"{detections.class_names[label]} {detections.scores[number]:.2f}"
            identity = number
            if detections.ids is not None:
                identity = int(detections.ids[number])
                text = f"{text} #{identity}"
            red, green, blue = class_colour(int(label))
            above = np.array([*box[:2], box[2] + box[5] / 2 + LABEL_HEIGHT_M, *box[3:6], 0.0])
            markers.append(
                types.Marker(
                    header=header,
                    ns="boxes",
                    id=identity,
                    type=_CUBE,
                    action=_ADD,
                    pose=self._pose(box),
                    scale=self._size(box),
                    color=types.ColorRGBA(r=red, g=green, b=blue, a=0.4),
                )
            )
            markers.append(
                types.Marker(
                    header=header,
                    ns="labels",
                    id=identity,
                    type=_TEXT,
                    action=_ADD,
                    text=text,
                    pose=self._pose(above),
                    scale=types.Vector3(x=0.0, y=0.0, z=LABEL_HEIGHT_M),
                    color=types.ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0),
                )
            )
        return types.MarkerArray(markers=markers)

    def object_points(self, header: Any, points: ObjectPoints) -> Any:
        """PointCloud2 of the points of objects: x, y, z, rgb where the cloud has colours, `label` and `instance`.

        `label` is the number of the class in ~/output/label_info, `instance` the index into the detections of that
        header.
        """
        return self.cloud(header, points.xyz, points.rgb, {"label": points.label, "instance": points.instance})

    def stats(self, header: Any, detections: Detections, model: str, timing: Timing, counts: Any) -> Any:
        """PruningStats: what was done to the cloud, and what has become of all clouds so far.

        Args:
            header: of the cloud.
            detections: what was found.
            model: name of the model.
            timing: when the cloud was worked on.
            counts: has the numbers of clouds `received`, `processed`, `dropped` and `refused`.
        """
        stats = detections.stats
        return self._types.PruningStats(
            header=header,
            model=model,
            device=stats.device,
            backend=stats.backend,
            pruning_threshold=float(stats.pruning_threshold),
            points_in=stats.points_in,
            points_used=stats.points_used,
            points_out_of_range=stats.points_out_of_range,
            points_outside_roi=stats.points_outside_roi,
            voxels=stats.voxels,
            detections=len(detections),
            not_finite=stats.not_finite,
            level=[cells.level for cells in stats.levels],
            cells_before=[cells.before for cells in stats.levels],
            cells_kept=[cells.kept for cells in stats.levels],
            cells_dropped=[cells.dropped for cells in stats.levels],
            stage_names=list(stats.stage_ms),
            stage_ms=[float(ms) for ms in stats.stage_ms.values()],
            total_ms=float(stats.total_ms),
            latency_ms=timing.latency_ms,
            age_ms=timing.age_ms,
            clouds_received=counts.received,
            clouds_processed=counts.processed,
            clouds_dropped=counts.dropped,
            clouds_refused=counts.refused,
        )

    def label_info(self, class_names: Sequence[str], score_threshold: float, header: Any) -> Any:
        """LabelInfo: all classes the model knows, numbered as it numbers them; detections carry the names."""
        classes = [self._types.VisionClass(class_id=number, class_name=name) for number, name in enumerate(class_names)]
        return self._types.LabelInfo(header=header, class_map=classes, threshold=float(score_threshold))

    def cloud(
        self,
        header: Any,
        xyz: np.ndarray,
        rgb: np.ndarray | None = None,
        numbers: Mapping[str, np.ndarray] | None = None,
    ) -> Any:
        """PointCloud2 of (N, 3) points in metres, with (N, 3) uint8 colours and (N,) fields of numbers where given."""
        packed = encode(xyz, rgb, numbers)
        return self._types.PointCloud2(
            header=header,
            height=1,
            width=packed.width,
            fields=[self._types.PointField(name=n, offset=o, datatype=t, count=c) for n, o, t, c in packed.fields],
            is_dense=False,
            is_bigendian=False,
            point_step=packed.point_step,
            row_step=packed.point_step * packed.width,
            data=packed.data,
        )

    def _outline(self, header: Any, low: Sequence[float], high: Sequence[float]) -> Any:
        """Marker: the edges of a box between two corners."""
        types, points = self._types, []
        for k in range(8):
            corner = [float((high if k >> axis & 1 else low)[axis]) for axis in range(3)]
            for axis in range(3):
                # Each edge once, from its lower end.
                if not k >> axis & 1:
                    other = [float(high[axis]) if a == axis else value for a, value in enumerate(corner)]
                    points += [types.Point(x=x, y=y, z=z) for x, y, z in (corner, other)]
        return types.Marker(
            header=header,
            ns="region",
            id=0,
            type=_LINE_LIST,
            action=_ADD,
            pose=self._pose(np.zeros(7)),
            scale=types.Vector3(x=REGION_LINE_M, y=0.0, z=0.0),
            color=types.ColorRGBA(r=1.0, g=1.0, b=0.0, a=0.8),
            points=points,
        )

    def _pose(self, box: np.ndarray) -> Any:
        """Pose of a (7,) box: centre, size and yaw."""
        x, y, z = (float(value) for value in box[:3])
        half = float(box[6]) / 2
        return self._types.Pose(
            position=self._types.Point(x=x, y=y, z=z),
            orientation=self._types.Quaternion(x=0.0, y=0.0, z=math.sin(half), w=math.cos(half)),
        )

    def _size(self, box: np.ndarray) -> Any:
        x, y, z = (float(value) for value in box[3:6])
        return self._types.Vector3(x=x, y=y, z=z)


def class_colour(label: int) -> tuple[float, float, float]:
    """Red, green and blue in 0..1 for a class number; the same one always, and unlike its neighbours'."""
    return colorsys.hsv_to_rgb(label * GOLDEN_RATIO % 1, 0.85, 1.0)


def to_detections(array: Any, stats: Any) -> Detections:
    """The detections that a pair of messages was made of, each with its best class.

    Class names are those that occur, in order of occurrence.
    """
    shown = np.array([_box(detection.bbox) for detection in array.detections], np.float64).reshape(-1, 7)
    best = [detection.results[0].hypothesis for detection in array.detections]
    class_names = tuple(dict.fromkeys(hypothesis.class_id for hypothesis in best))
    levels = zip(stats.level, stats.cells_before, stats.cells_kept, stats.cells_dropped, strict=True)
    return Detections(
        boxes=hulls(shown),
        turned=shown if shown[:, 6].any() else None,
        scores=np.array([hypothesis.score for hypothesis in best], np.float32),
        labels=np.array([class_names.index(hypothesis.class_id) for hypothesis in best], np.int64),
        class_names=class_names,
        stats=DetectionStats(
            pruning_threshold=stats.pruning_threshold,
            points_in=stats.points_in,
            points_used=stats.points_used,
            points_out_of_range=stats.points_out_of_range,
            points_outside_roi=stats.points_outside_roi,
            voxels=stats.voxels,
            levels=tuple(LevelCells(*cells) for cells in levels),
            stage_ms=dict(zip(stats.stage_names, stats.stage_ms, strict=True)),
            total_ms=stats.total_ms,
            device=stats.device,
            backend=stats.backend,
            not_finite=stats.not_finite,
        ),
    )


def _box(bbox: Any) -> tuple[float, ...]:
    """Centre, size and yaw."""
    place, size, turn = bbox.center.position, bbox.size, bbox.center.orientation
    return (place.x, place.y, place.z, size.x, size.y, size.z, 2 * math.atan2(turn.z, turn.w))
