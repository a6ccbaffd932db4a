"""Detections as ROS messages, and back. Each message is published with the header of the cloud it belongs to."""

import colorsys
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from rclpy.time import Time
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import (
    BoundingBox3D,
    Detection3D,
    Detection3DArray,
    LabelInfo,
    ObjectHypothesisWithPose,
    VisionClass,
)
from visualization_msgs.msg import Marker, MarkerArray

from dspdet3d_ros.clouds.pointcloud2 import encode
from dspdet3d_ros.detector.object_points import ObjectPoints
from dspdet3d_ros.detector.result import Detections, DetectionSettings, DetectionStats, LevelCells
from dspdet3d_ros.geometry import hulls
from dspdet3d_ros.msg import PruningStats
from dspdet3d_ros.ros.results import Counts

LABEL_HEIGHT_M = 0.05
REGION_LINE_M = 0.01
# Neighbouring class numbers get hues this far apart, which never repeat.
GOLDEN_RATIO = 0.61803398875


@dataclass(frozen=True)
class Timing:
    """When a cloud was worked on, in milliseconds.

    Attributes:
        latency_ms: from its arrival to its publication, without the time that it waited for a first subscriber.
        age_ms: from its stamp to its publication; NaN where the stamp is zero.
    """

    latency_ms: float
    age_ms: float


def detection_array(header: Header, detections: Detections) -> Detection3DArray:
    """The boxes, best first: class names as `class_id`, no `id` as nothing is tracked.

    Fitted boxes are turned about z; others are parallel to the axes. The first of a detection's `results` is its best
    class; others that reach the score threshold follow.
    """
    message = Detection3DArray(header=header)
    for i, box in enumerate(detections.shown):
        pose = _pose(box)
        detection = Detection3D(header=header)
        for name, score in detections.hypotheses(i):
            hypothesis = ObjectHypothesisWithPose()
            hypothesis.hypothesis.class_id = name
            hypothesis.hypothesis.score = score
            hypothesis.pose.pose = pose
            detection.results.append(hypothesis)
        detection.bbox.center = pose
        detection.bbox.size = _size(box)
        message.detections.append(detection)
    return message


def marker_array(header: Header, detections: Detections, settings: DetectionSettings | None = None) -> MarkerArray:
    """Deletes all earlier markers, then one box and one text for each detection, coloured by class.

    A region of interest that is closed is shown by its edges.
    """
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    if settings is not None and settings.roi_min and settings.roi_max:
        markers.append(_outline(header, settings.roi_min, settings.roi_max))
    for number, (box, label) in enumerate(zip(detections.shown, detections.labels, strict=True)):
        text = f"{detections.class_names[label]} {detections.scores[number]:.2f}"
        red, green, blue = class_colour(int(label))
        solid = Marker(header=header, ns="boxes", id=number, type=Marker.CUBE, action=Marker.ADD)
        solid.pose, solid.scale = _pose(box), _size(box)
        solid.color = ColorRGBA(r=red, g=green, b=blue, a=0.4)
        name = Marker(header=header, ns="labels", id=number, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD, text=text)
        name.pose = _pose(box)
        name.pose.position.z += float(box[5]) / 2 + LABEL_HEIGHT_M
        name.scale = Vector3(x=0.0, y=0.0, z=LABEL_HEIGHT_M)
        name.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        markers += [solid, name]
    return MarkerArray(markers=markers)


def _outline(header: Header, low: Sequence[float], high: Sequence[float]) -> Marker:
    """The edges of a box between two corners."""
    outline = Marker(header=header, ns="region", id=0, type=Marker.LINE_LIST, action=Marker.ADD)
    outline.pose.orientation.w = 1.0
    outline.scale.x = REGION_LINE_M
    outline.color = ColorRGBA(r=1.0, g=1.0, b=0.0, a=0.8)
    for k in range(8):
        corner = [(high if k >> axis & 1 else low)[axis] for axis in range(3)]
        for axis in range(3):
            # Each edge once, from its lower end.
            if not k >> axis & 1:
                other = [high[axis] if a == axis else value for a, value in enumerate(corner)]
                outline.points += [Point(x=x, y=y, z=z) for x, y, z in (corner, other)]
    return outline


def object_points(header: Header, points: ObjectPoints) -> PointCloud2:
    """The points of objects: x, y, z, rgb where the cloud has colours, `label` and `instance`.

    `label` is the number of the class in ~/output/label_info, `instance` the index into the detections of that header.
    """
    return cloud_message(header, points.xyz, points.rgb, {"label": points.label, "instance": points.instance})


def class_colour(label: int) -> tuple[float, float, float]:
    """Red, green and blue in 0..1 for a class number; the same one always, and unlike its neighbours'."""
    return colorsys.hsv_to_rgb(label * GOLDEN_RATIO % 1, 0.85, 1.0)


def stats_message(header: Header, detections: Detections, model: str, timing: Timing, counts: Counts) -> PruningStats:
    """What was done to the cloud, and what has become of all clouds so far."""
    stats = detections.stats
    return PruningStats(
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


def label_info(class_names: Sequence[str], score_threshold: float) -> LabelInfo:
    """All classes the model knows, numbered as it numbers them; detections carry the names."""
    classes = [VisionClass(class_id=number, class_name=name) for number, name in enumerate(class_names)]
    return LabelInfo(class_map=classes, threshold=float(score_threshold))


def cloud_message(
    header: Header,
    xyz: np.ndarray,
    rgb: np.ndarray | None = None,
    numbers: Mapping[str, np.ndarray] | None = None,
) -> PointCloud2:
    """A PointCloud2 of (N, 3) points in metres with, where given, (N, 3) uint8 colours and (N,) fields of numbers."""
    packed = encode(xyz, rgb, numbers)
    fields = [PointField(name=n, offset=o, datatype=t, count=c) for n, o, t, c in packed.fields]
    message = PointCloud2(header=header, height=1, width=packed.width, fields=fields, is_dense=False)
    message.point_step, message.row_step = packed.point_step, packed.point_step * packed.width
    message.data = packed.data
    return message


def to_detections(array: Detection3DArray, stats: PruningStats) -> Detections:
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


def _box(bbox: BoundingBox3D) -> tuple[float, ...]:
    """Centre, size and yaw."""
    place, size, turn = bbox.center.position, bbox.size, bbox.center.orientation
    return (place.x, place.y, place.z, size.x, size.y, size.z, 2 * math.atan2(turn.z, turn.w))


def age_ms(header: Header, now_ns: int) -> float:
    """Milliseconds from the stamp to `now_ns`; NaN where the stamp is zero, which means that there is none."""
    stamp_ns = Time.from_msg(header.stamp).nanoseconds
    return (now_ns - stamp_ns) / 1e6 if stamp_ns else math.nan


def _pose(box: np.ndarray) -> Pose:
    """Of (7,) centre, size and yaw."""
    x, y, z = (float(value) for value in box[:3])
    half = float(box[6]) / 2
    turn = Quaternion(x=0.0, y=0.0, z=math.sin(half), w=math.cos(half))
    return Pose(position=Point(x=x, y=y, z=z), orientation=turn)


def _size(box: np.ndarray) -> Vector3:
    x, y, z = (float(value) for value in box[3:6])
    return Vector3(x=x, y=y, z=z)
