"""Detections of one cloud as JSON and as text, for the command-line tool and the demo."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.cloud import ANY_CLASS, LabelledBoxes
from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.detector.boxes import iou_matrix
from dspdet3d_ros.detector.result import Detections

# A box finds an object if their IoU exceeds this, as in the published figures.
FOUND_IOU = 0.25


def as_json(
    detections: Detections,
    frame_id: str = "",
    stamp: tuple[int, int] | None = None,
    doubts: Sequence[Remark] = (),
) -> dict[str, Any]:
    """Detections as plain values: metres, axis-aligned, in the frame of the cloud, best score first.

    Fitted boxes are also there as `turned`: centre, size and yaw in radians.

    Args:
        detections: the detections.
        frame_id: frame of the cloud; empty for a cloud without a frame, such as a file.
        stamp: seconds and nanoseconds of the cloud, or None.
        doubts: why the boxes may be wrong.
    """
    stats = detections.stats
    return {
        "frame_id": frame_id,
        "stamp": None if stamp is None else {"sec": stamp[0], "nanosec": stamp[1]},
        "pruning_threshold": stats.pruning_threshold,
        "doubts": [asdict(doubt) for doubt in doubts],
        "detections": [_detection(detections, i) for i in range(len(detections))],
        "stats": {
            "points_in": stats.points_in,
            "points_used": stats.points_used,
            "points_out_of_range": stats.points_out_of_range,
            "points_outside_roi": stats.points_outside_roi,
            "voxels": stats.voxels,
            "levels": [asdict(cells) for cells in stats.levels],
            "stage_ms": stats.stage_ms,
            "total_ms": stats.total_ms,
            "device": stats.device,
            "backend": stats.backend,
        },
    }


def _detection(detections: Detections, i: int) -> dict[str, Any]:
    box = detections.boxes[i]
    values: dict[str, Any] = {
        "class": detections.names[i],
        "score": float(detections.scores[i]),
        "center": box[:3].tolist(),
        "size": box[3:6].tolist(),
    }
    if detections.turned is not None:
        values["turned"] = detections.turned[i].tolist()
    return values


def overlaps(detections: Detections, truth: LabelledBoxes) -> np.ndarray:
    """(K, T) 3D intersection over union of each predicted box with each true box."""
    predicted, true = (np.asarray(boxes, np.float64).reshape(-1, 6) for boxes in (detections.boxes, truth.boxes))
    return iou_matrix(predicted, true)


def boxes_table(detections: Detections, truth: LabelledBoxes | None = None) -> str:
    """One row per box: class, score, centre, size and, with ground truth, the best IoU and the class of that object."""
    width = max([5, *(len(name) for name in detections.names)])
    head = f"{'class':{width}}  score    centre x, y, z [m]        size x, y, z [m]"
    rows = [head if truth is None else f"{head}       IoU  ground truth"]
    iou = None if truth is None else overlaps(detections, truth)
    for i, (name, score, box) in enumerate(zip(detections.names, detections.scores, detections.boxes, strict=True)):
        centre, size = (" ".join(f"{value:7.3f}" for value in part) for part in (box[:3], box[3:6]))
        row = f"{name:{width}}  {score:5.2f}  {centre}  {size}"
        if iou is not None and truth is not None:
            best = int(iou[i].argmax()) if iou.shape[1] else -1
            hit = best >= 0 and iou[i, best] > 0
            row += f"    {iou[i, best]:4.2f}  {truth.names[best]}" if hit else "    0.00  -"
        rows.append(row)
    return "\n".join(rows)


def match_line(detections: Detections, truth: LabelledBoxes | None = None) -> str:
    """The number of boxes and, with ground truth, the number of objects that they find."""
    boxes = f"{len(detections)} boxes"
    if truth is None:
        return boxes
    from dspdet3d_ros.learning.evaluation.metric import SceneResult, matches

    result = SceneResult(
        np.asarray(detections.boxes),
        detections.scores,
        detections.names,
        np.asarray(truth.boxes),
        truth.names,
    )
    match = matches(result, FOUND_IOU)
    hits = match >= 0
    right = sum(detections.names[i] == truth.names[match[i]] for i in np.flatnonzero(hits))
    # Without class names in the ground truth, no class can be right or wrong.
    classes = "" if set(truth.names) <= {ANY_CLASS} else f" ({right} of them with the right class)"
    return (
        f"{boxes}: {hits.sum()} of {len(truth.names)} objects found at IoU {FOUND_IOU}{classes}, "
        f"{(~hits).sum()} false boxes"
    )


def cost_line(detections: Detections) -> str:
    """Points, voxels and time of a run, in one line."""
    stats = detections.stats
    dropped = sum(cells.dropped for cells in stats.levels)
    bound = f"; max_cells_per_level dropped {dropped} cells" if dropped else ""
    outside = f"; {stats.points_outside_roi} points outside the region" if stats.points_outside_roi else ""
    far = f"; {stats.points_out_of_range} points out of range" if stats.points_out_of_range else ""
    return (
        f"{stats.points_used} of {stats.points_in} points, {stats.voxels} voxels, "
        f"{stats.total_ms:.0f} ms on {stats.device} at pruning threshold {stats.pruning_threshold:g}"
        f"{bound}{outside}{far}"
    )


def pruning_table(runs: Sequence[Detections]) -> str:
    """One row per run, each at another pruning threshold: cells kept by level, milliseconds, boxes."""
    levels = [cells.level for cells in runs[0].stats.levels]
    names = "".join(f"{f'level {level}':>10}" for level in levels)
    cells_head = "cells kept".center(10 * len(levels))
    rows = [f"{'':>5}{cells_head}", f"{'tau':>5}{names}{'ms':>9}{'boxes':>8}"]
    for run in runs:
        kept = "".join(f"{cells.kept:10d}" for cells in run.stats.levels)
        rows.append(f"{run.stats.pruning_threshold:5.2f}{kept}{run.stats.total_ms:9.0f}{len(run):8d}")
    return "\n".join(rows)
