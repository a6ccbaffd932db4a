"""The message on ~/output/stats: figures of one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from std_msgs.msg import Header

from dspdet3d_ros.msg import AccumulatorStats
from dspdet3d_ros.ros.faults import KINDS
from dspdet3d_ros.ros.interface.messages import age_ms
from dspdet3d_ros.ros.results import Counts

if TYPE_CHECKING:
    from dspdet3d_ros.mapping.accumulator import Inserted


# How the log lines of refused frames begin: by their own fault, and by one of the node.
_REFUSED = ("frame refused", "cloud dropped")


@dataclass(frozen=True)
class FrameStats:
    """Figures of a frame that entered the map.

    Attributes:
        header: stamp of the depth image, in the frame of the map.
        inserted: the result.
        device: where the map is.
        voxels: number of voxels in memory.
        map_bytes: memory of the map.
        stage_ms: wall clock of each stage, milliseconds.
    """

    header: Header
    inserted: Inserted
    device: str
    voxels: int
    map_bytes: int
    stage_ms: dict[str, float]

    def message(
        self, cloud_points: int, latency_ms: float, now_ns: int, counts: Counts, faults: Mapping[str, int]
    ) -> AccumulatorStats:
        """The message.

        Args:
            cloud_points: number of points of the cloud that was published last.
            latency_ms: from the arrival of the depth image until now.
            now_ns: the node's time.
            counts: of all frames, this one included.
            faults: number of faults by kind.
        """
        done = self.inserted
        refused = {kind: number for kind, number in faults.items() if KINDS[kind].lead in _REFUSED}
        return AccumulatorStats(
            header=self.header,
            device=self.device,
            voxels=self.voxels,
            map_bytes=self.map_bytes,
            cloud_points=cloud_points,
            points=done.points,
            new_voxels=done.new_voxels,
            removed_voxels=done.removed_voxels,
            pairs=done.pairs,
            correction_m=float(done.correction_m),
            correction_deg=float(done.correction_deg),
            restarted=done.restarted,
            stage_names=list(self.stage_ms),
            stage_ms=[float(ms) for ms in self.stage_ms.values()],
            total_ms=float(sum(self.stage_ms.values())),
            latency_ms=float(latency_ms),
            age_ms=age_ms(self.header, now_ns),
            frames_received=counts.received,
            frames_processed=counts.processed,
            frames_dropped=counts.dropped,
            frames_refused=counts.refused,
            refused_kinds=list(refused),
            refused_counts=list(refused.values()),
        )
