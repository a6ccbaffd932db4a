"""The accumulator's status for the diagnostics."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticStatus

from dspdet3d_ros.ros.accumulation.accumulation import Accumulation
from dspdet3d_ros.ros.accumulation.poses import CameraPoses
from dspdet3d_ros.ros.faults import FaultLog
from dspdet3d_ros.ros.health.diagnostics import compose_status
from dspdet3d_ros.ros.health.no_output import NoOutputDiagnosis


def accumulator_status(
    name: str,
    state: str,
    faults: FaultLog,
    no_output: NoOutputDiagnosis,
    accumulation: Accumulation | None,
    poses: CameraPoses | None,
    device: str,
) -> DiagnosticStatus:
    """The status; see `compose_status`.

    Args:
        name: full name of the node.
        state: its lifecycle state.
        faults: what went wrong.
        no_output: why nothing is published.
        accumulation: works on frames, if the node is configured.
        poses: of the camera, if the node is configured.
        device: where the map is.
    """
    values: list[tuple[str, str]] = []
    if accumulation is not None and poses is not None:
        traffic, counts, last = accumulation.traffic, accumulation.worker.counts, accumulation.inserted
        latency = traffic.latency_ms(50)
        values = [
            ("world_frame", poses.frame or "none yet"),
            ("poses_received", str(poses.received)),
            ("rate_hz", f"{traffic.rate_hz(time.monotonic()):.2f}"),
            ("latency_p50_ms", "none yet" if latency is None else f"{latency:.1f}"),
            ("frames_received", str(counts.received)),
            ("frames_processed", str(counts.processed)),
            ("frames_dropped", str(counts.dropped)),
            ("frames_refused", str(counts.refused)),
            ("frames_lost", str(traffic.lost)),
            ("voxels", str(accumulation.voxels)),
            ("map_memory_mb", f"{accumulation.memory_bytes / 1e6:.1f}"),
            ("points", "none yet" if accumulation.points is None else str(accumulation.points)),
            ("correction_mm", "none yet" if last is None else f"{last.correction_m * 1000:.1f}"),
        ]
    return compose_status(f"{name}: accumulator", state, faults, no_output, values, device)
