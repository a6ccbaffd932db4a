"""All frames of a folder into one cloud, with a report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.mapping.accumulator import Accumulator
from dspdet3d_ros.mapping.folders import FrameFolder
from dspdet3d_ros.mapping.frame import FrameRefused
from dspdet3d_ros.mapping.map_settings import MapSettings
from dspdet3d_ros.mapping.refusals import Refusals, counts_text
from dspdet3d_ros.mapping.thickness import VOXEL, Thickness, thickness_of


@dataclass
class FuseReport:
    """The result of fusing a folder.

    Attributes:
        layout: of the folder.
        frames: number of frames that the folder has, or that were asked for.
        used: number of frames in the cloud.
        refused: number of refused frames by kind.
        texts: frames that were refused with the reasons; only the first ones of each kind.
        restarts: why the map was emptied, if it was.
        correction_mm: mean correction of the poses, millimetres.
        points: number of points of the cloud.
        thickness: of the surfaces.
        seconds: time without reading the images.
    """

    layout: str
    frames: int
    used: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    restarts: list[str] = field(default_factory=list)
    correction_mm: float = 0.0
    points: int = 0
    thickness: Thickness | None = None
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        thickness = self.thickness
        planes = thickness.planes if thickness else 0
        return {
            "layout": self.layout,
            "frames": self.frames,
            "used": self.used,
            "refused": dict(self.refused),
            "texts": self.texts,
            "restarts": self.restarts,
            "correction_mm": self.correction_mm,
            "points": self.points,
            "thickness_mm": thickness.median_m * 1000 if thickness and planes else None,
            "thickness_p90_mm": thickness.p90_m * 1000 if thickness and planes else None,
            "planes": planes,
            "frames_per_s": self.used / self.seconds if self.seconds else None,
        }

    def as_text(self) -> str:
        """Lines for the terminal."""
        refused = counts_text(self.refused)
        lines = [f"{self.layout}: {self.used} of {self.frames} frames used; refused: {refused}"]
        lines += [f"  {text}" for text in (*self.texts, *(f"the map was emptied: {why}" for why in self.restarts))]
        lines.append(f"{self.points} points; poses corrected by {self.correction_mm:.1f} mm on average")
        if self.thickness is not None:
            lines.append(
                f"plane thickness: median {self.thickness.median_m * 1000:.1f} mm, "
                f"90 % below {self.thickness.p90_m * 1000:.1f} mm ({self.thickness.planes} planes)"
                if self.thickness.planes
                else "plane thickness: no plane was found"
            )
        if self.seconds:
            lines.append(f"{self.used / self.seconds:.1f} frames/s without reading the images")
        return "\n".join(lines)


def fuse_frames(
    folder: FrameFolder,
    settings: MapSettings,
    device: str = "cpu",
    report_thickness: bool = True,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[PointCloud, FuseReport]:
    """Fuses the frames of a folder in their order.

    Args:
        folder: the frames.
        settings: of the map.
        device: "cpu" or a CUDA device.
        report_thickness: whether the thickness is measured.
        progress: called after each frame with the number of frames so far.
    """
    accumulator = Accumulator(settings, device, folder.video)
    report = FuseReport(folder.layout, len(folder.frames))
    refusals = Refusals(report.refused, report.texts)
    corrections = 0.0
    for number, source in enumerate(folder.frames, 1):
        try:
            frame = source.read()
            started = time.perf_counter()
            done = accumulator.insert(frame)
            report.seconds += time.perf_counter() - started
        except FrameRefused as refusal:
            refusals.add(refusal.kind, f"{source.name}: {refusal}")
        else:
            report.used += 1
            corrections += done.correction_m * 1000
            if done.restarted:
                report.restarts.append(f"{source.name}: {done.restarted}")
        progress(number)
    cloud = accumulator.cloud()
    report.correction_mm = corrections / max(report.used, 1)
    report.points = len(cloud.xyz)
    if report_thickness:
        report.thickness = thickness_of(cloud.xyz, max(VOXEL, settings.voxel_size))
    return cloud, report
