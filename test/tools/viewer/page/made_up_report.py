"""Results to show on a page, made up."""

import numpy as np

from dspdet3d_ros.clouds.cloud import LabelledBoxes, PointCloud
from dspdet3d_ros.detector.predictor import synthetic_room
from dspdet3d_ros.detector.result import Detections, DetectionStats, LevelCells
from dspdet3d_ros.tools.viewer.page import PageContents


def detections(tau, scores, classes=("cup", "book")):
    """A row of boxes on the table of `synthetic_room`, one for each score, of the classes in turn."""
    count = len(scores)
    boxes = [[2.2 + 0.12 * i, 2.0, 0.8, 0.1, 0.08, 0.1] for i in range(count)]
    levels = tuple(LevelCells(level, 1000 * (4 - level), round(900 * (1 - tau))) for level in (3, 2, 1, 0))
    stats = DetectionStats(tau, 9000, 9000, 8000, levels, {"points": 1.0, "backbone": 5.0}, 6.5, "cpu", "torch")
    labels = np.arange(count) % len(classes)
    return Detections(np.float32(boxes).reshape(-1, 6), np.float32(scores), labels, classes, stats)


def report(points=9000, scores=(0.9, 0.6, 0.3), name="room.ply", classes=("cup", "book"), truth=False, coloured=False):
    """A report of two pruning thresholds, of which the higher one finds one box less."""
    xyz = synthetic_room(points) if points else np.empty((0, 3), np.float32)
    rgb = np.tile(np.uint8([[0, 160, 0]]), (points, 1)) if coloured else None
    there = LabelledBoxes(np.float32([[2.2, 2.0, 0.8, 0.1, 0.1, 0.1]]), (classes[0],)) if truth else None
    runs = [detections(0.4, scores, classes), detections(0.8, scores[:-1], classes)]
    return PageContents(name, PointCloud(xyz, rgb, there), runs, 0.4, 0.25, "small", 0.01)
