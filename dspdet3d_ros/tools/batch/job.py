"""Detection in one cloud file, as the command line describes it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.clouds.region import RegionOfInterest
from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.clouds.upright import upright
from dspdet3d_ros.detector.no_boxes import why_no_boxes
from dspdet3d_ros.detector.orientation import fit_orientations
from dspdet3d_ros.detector.plausibility import Plausibility
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.result import Detections, DetectionSettings
from dspdet3d_ros.tools.viewer.summary import as_json


@dataclass(frozen=True)
class Job:
    """The work on each cloud file. It can be sent to another process.

    Attributes:
        model, checkpoint, device, backend, precision: see `Detector.load`.
        tau, score, views: see `DetectionSettings`; None for those of the model.
        columns: see `read_cloud`.
        up, unit: see `upright`.
        roi_min, roi_max: see `RegionOfInterest.of`; in metres with z up.
        box_orientation: see `DetectionSettings`.
    """

    model: str
    checkpoint: Path | None = None
    device: str = "auto"
    backend: str = "auto"
    precision: str = "auto"
    tau: float | None = None
    score: float | None = None
    views: int | None = None
    columns: int | None = None
    up: str = "z"
    unit: str = "m"
    roi_min: tuple[float, ...] = ()
    roi_max: tuple[float, ...] = ()
    box_orientation: str = "axes"

    def read(self, path: Path) -> PointCloud:
        """The cloud of a file within the region of interest, in metres with z up.

        Raises:
            InputError: the file cannot be read.
        """
        cloud = upright(read_cloud(path, self.columns), self.up, self.unit)
        region = RegionOfInterest.of(self.roi_min, self.roi_max)
        return cloud if region is None else region.crop(cloud)

    def load(self) -> LoadedJob:
        """Loads the model.

        Raises:
            InputError: model, weights, device or engine cannot be used.
        """
        detector = Detector.load(self.model, self.checkpoint, self.device, self.backend, precision=self.precision)
        settings = detector.default_settings().with_given(
            pruning_threshold=self.tau, score_threshold=self.score, views=self.views
        )
        return LoadedJob(self, detector, settings)


@dataclass(frozen=True)
class LoadedJob:
    """A job with its model.

    Attributes:
        job: the job.
        detector: the model that it names.
        settings: the thresholds.
    """

    job: Job
    detector: Detector
    settings: DetectionSettings

    def description(self) -> dict[str, Any]:
        """All settings on which the boxes depend, as JSON values."""
        return {
            "model": self.detector.model_name,
            "checkpoint_sha256": self.detector.checkpoint_sha256,
            "pruning_threshold": self.settings.pruning_threshold,
            "score_threshold": self.settings.score_threshold,
            "views": self.settings.views,
            "columns": self.job.columns,
            "up": self.job.up,
            "unit": self.job.unit,
            "roi_min": list(self.job.roi_min),
            "roi_max": list(self.job.roi_max),
            "box_orientation": self.job.box_orientation,
        }

    def doubts(self, cloud: PointCloud) -> Plausibility:
        """Doubts about a cloud. They are known before the network computes."""
        return Plausibility(cloud.xyz, self.detector.config)

    def detect(self, cloud: PointCloud) -> Detections:
        """The boxes of a cloud."""
        return self.oriented(cloud, self.detector(cloud, self.settings))

    def oriented(self, cloud: PointCloud, found: Detections) -> Detections:
        """The boxes of a cloud, turned with their objects if the job wants that."""
        return fit_orientations(cloud, found) if self.job.box_orientation == "fitted" else found

    def why_none(self, detections: Detections) -> tuple[Remark, ...]:
        """Why there are no boxes, if there are none and the reason is known."""
        if len(detections):
            return ()
        reason = why_no_boxes(detections.stats, self.settings, "--score", "--tau")
        return (reason,) if reason else ()

    def record(self, path: Path) -> dict[str, Any]:
        """The result for a file, as JSON values.

        Raises:
            InputError: the file cannot be read.
        """
        cloud = self.job.read(path)
        plausibility = self.doubts(cloud)
        detections = self.detect(cloud)
        doubts = (*plausibility.of_cloud, *plausibility.of_boxes(detections), *self.why_none(detections))
        return self.to_json(path, detections, doubts)

    def to_json(self, path: Path, detections: Detections, doubts: Sequence[Remark]) -> dict[str, Any]:
        """A result as JSON values, with the file and how its coordinates were taken."""
        frame = {"up": self.job.up, "unit": self.job.unit}
        return {"source": source_of(path), "frame_of_file": frame, **as_json(detections, doubts=doubts)}


def source_of(path: Path) -> dict[str, Any]:
    """Path, size and date of a cloud file: a result counts as long as these stay."""
    try:
        status = os.stat(path)
    except OSError:
        return {"file": str(path), "bytes": 0, "modified_ns": 0}
    return {"file": str(path), "bytes": status.st_size, "modified_ns": status.st_mtime_ns}
