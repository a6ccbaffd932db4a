"""Image sets in, clouds out: the work on frames in a thread of its own."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from std_msgs.msg import Header

from dspdet3d_ros.detector.stopwatch import Stopwatch
from dspdet3d_ros.errors import InputError, one_line
from dspdet3d_ros.mapping.frame import FrameRefused, RGBDFrame
from dspdet3d_ros.mapping.image_messages import frame_of
from dspdet3d_ros.mapping.pairing import ImageSet
from dspdet3d_ros.ros.accumulation.frame_stats import FrameStats
from dspdet3d_ros.ros.accumulation.poses import CameraPoses, Frames
from dspdet3d_ros.ros.faults import Fault, FaultLog, fault_of, release_frames
from dspdet3d_ros.ros.parameters.accumulator_table import AccumulatorSettings
from dspdet3d_ros.ros.pipeline.traffic import Traffic
from dspdet3d_ros.ros.pipeline.worker import LatestWorker
from dspdet3d_ros.ros.results import Counts
from dspdet3d_ros.system import return_freed_memory, torch_threads

if TYPE_CHECKING:
    from dspdet3d_ros.clouds.cloud import PointCloud
    from dspdet3d_ros.mapping.accumulator import Accumulator, Inserted


@dataclass(frozen=True)
class MapCloud:
    """A cloud to publish.

    Attributes:
        cloud: points in the world frame.
        stamp: of the latest frame in it, as in the message's header.
        frame: name of the world frame.
    """

    cloud: PointCloud
    stamp: Any
    frame: str


@dataclass(frozen=True)
class Done:
    """The result of an image set, or of a request to publish (without `frame`)."""

    arrival_s: float
    frame: FrameStats | None
    cloud: MapCloud | None


class Accumulation:
    """Works on image sets, and publishes the cloud of the map at a limited rate.

    Args:
        accumulator: the map.
        settings: gives the present settings; asked once for each frame.
        poses: of the camera.
        frames: transforms, for a colour camera of its own.
        publish: publishes a cloud.
        report: publishes the figures of a frame, with its latency in milliseconds and the counts of frames.
        faults: gets all faults.
        logger: the node's.
        threads: number of CPU threads; None keeps torch's choice.

    Attributes:
        traffic: when image sets came and how long the work took.
        points: number of points of the cloud that was published last.
        inserted: the latest frame in the map.
        lost: why nothing can be computed any more in this process, if so.
    """

    def __init__(
        self,
        accumulator: Accumulator,
        settings: Callable[[], AccumulatorSettings],
        poses: CameraPoses,
        frames: Frames,
        publish: Callable[[MapCloud], None],
        report: Callable[[FrameStats, float, Counts], None],
        faults: FaultLog,
        logger: Any,
        threads: int | None,
    ) -> None:
        self._accumulator, self._settings, self._poses, self._frames = accumulator, settings, poses, frames
        self._publish, self._report, self._faults = publish, report, faults
        self._logger, self._threads = logger, threads
        self.traffic = Traffic()
        self.points: int | None = None
        self.inserted: Inserted | None = None
        self.lost: Fault | None = None
        # Held while the map is used: services use it in the executor's thread.
        self._map = threading.Lock()
        self._resets = 0
        self._frame, self._stamp = "", None
        self._published_s, self._changed = -np.inf, False
        self.worker: LatestWorker[ImageSet | None, Done] = LatestWorker(
            self._compute, self._deliver, self._on_failure, rest=return_freed_memory
        )
        self.worker.start()

    @property
    def voxels(self) -> int:
        """Number of voxels in memory."""
        return len(self._accumulator)

    @property
    def memory_bytes(self) -> int:
        """Memory of the map."""
        return self._accumulator.memory_bytes

    def take(self, images: ImageSet) -> None:
        """Gives an image set to the worker; one that waits is dropped for it."""
        self.traffic.arrived(images.arrival_s)
        if self.lost:
            self.worker.count_ignored()
        else:
            self.worker.submit(images)

    def refuse(self, refusal: FrameRefused) -> None:
        """Counts a depth image that cannot be completed."""
        self.worker.count_refused()
        self._faults.report(fault_of(refusal))

    def look(self) -> None:
        """Publishes frames that came after the last cloud, if it is time."""
        if self._changed and self._due():
            self.worker.submit_again(None)

    def reset(self) -> str:
        """Empties the map, and publishes an empty cloud; returns a line about it.

        Frames that came before neither enter the new map nor are published after the empty cloud.
        """
        with self._map:
            used = self._accumulator.used
            self._accumulator.reset()
            self._resets += 1
            cloud = self._cloud()
        self.worker.drop()
        return_freed_memory()
        self.inserted = self.points = None
        if self._frame:
            self._publish(cloud)
        return f"the map of {used} frames was emptied"

    def save(self) -> str:
        """Writes the cloud to `save_path`; returns a line about it.

        Raises:
            InputError: the map is empty, or the file cannot be written.
        """
        from pathlib import Path

        from dspdet3d_ros.clouds.writers import write_cloud

        path = Path(self._settings().save_path)
        try:
            path = path.expanduser()
        except RuntimeError:
            raise InputError(f"save_path: {path}: there is no such user; give a path without ~") from None
        with self._map:
            cloud = self._cloud().cloud
        if not len(cloud.xyz):
            raise InputError("the map has no point yet; let the camera move over the scene first")
        write_cloud(path, cloud)
        return f"{len(cloud.xyz)} points written to {path.resolve()}"

    def free(self) -> None:
        """Frees the map, when the worker has stopped: circular references would keep it for a while."""
        with self._map:
            self._accumulator.reset()
        return_freed_memory()

    def restart(self) -> None:
        """Forgets waiting image sets and counts from zero; the map stays."""
        self.worker.discard()
        self.traffic = Traffic()

    def time_set_back(self) -> None:
        """Empties the map and forgets poses, as they are of a time that has not come yet."""
        self.worker.drop()
        self._poses.forget()
        self._frames.forget()
        self._logger.warning(f"time was set back: {self.reset()}")

    def failure(self) -> str | None:
        """Why nothing will come of the worker any more, in one line, or None."""
        limit_s = self._settings().watchdog_timeout_s
        if not self.worker.alive:
            reason = one_line(self.worker.death) if self.worker.death else "no reason is known"
            return f"the thread that works on frames has ended ({reason}); configure the node again"
        if 0 < limit_s < self.worker.busy_s:
            return (
                f"a frame has been worked on for more than watchdog_timeout_s = {limit_s:g} s; configure the node again"
            )
        return None

    def _compute(self, images: ImageSet | None) -> Done:
        settings = self._settings()
        if images is None:
            with self._map, torch_threads(self._threads):
                return Done(time.monotonic(), None, self._cloud())
        watch = Stopwatch(torch.device(self._accumulator.device))
        resets = self._resets
        with torch_threads(self._threads):
            frame = self._read(images, settings)
            watch.lap("read")
            with self._map:
                if resets != self._resets:
                    return Done(images.arrival_s, None, None)
                self._follow_frame()
                self._accumulator.settings = settings.map
                inserted = self._accumulator.insert(frame)
                self._stamp, self._changed = images.depth.header.stamp, True
                watch.lap("map")
                cloud = None
                if self._due():
                    cloud = self._cloud()
                    watch.lap("cloud")
                header = Header(stamp=self._stamp, frame_id=self._frame)
                device, memory = self._accumulator.device, self.memory_bytes
                stats = FrameStats(header, inserted, device, self.voxels, memory, watch.laps_ms)
        return Done(images.arrival_s, stats, cloud)

    def _read(self, images: ImageSet, settings: AccumulatorSettings) -> RGBDFrame:
        header = images.depth.header
        return frame_of(
            images,
            lambda: self._poses.at(header, settings.sync_tolerance_s),
            settings.depth_units_per_metre,
            lambda frame: self._frames.matrix(frame, header),
        )

    def _follow_frame(self) -> None:
        """Empties the map if the poses come in another world frame."""
        if self._frame and self._poses.frame != self._frame and self._accumulator.used:
            self._logger.warning(
                f"poses are now in '{self._poses.frame}', not in '{self._frame}': the map starts again"
            )
            self._accumulator.reset()
        self._frame = self._poses.frame

    def _due(self) -> bool:
        return time.monotonic() - self._published_s >= 1 / self._settings().publish_rate_hz

    def _cloud(self) -> MapCloud:
        return MapCloud(self._accumulator.cloud(), self._stamp, self._frame)

    def _deliver(self, done: Done, counts: Counts) -> None:
        """Runs in the worker's thread, never while or after the node is deactivated."""
        if done.cloud is not None:
            self._published_s, self._changed = time.monotonic(), False
            self.points = len(done.cloud.cloud.xyz)
            self._publish(done.cloud)
        if done.frame is None:
            return
        self.inserted = done.frame.inserted
        if self.inserted.restarted:
            self._logger.warning(f"the map starts again: {self.inserted.restarted}")
        self._faults.good()
        latency_ms = (time.monotonic() - done.arrival_s) * 1e3
        self.traffic.answered(latency_ms)
        self._report(done.frame, latency_ms, counts)

    def _on_failure(self, images: ImageSet | None, error: Exception) -> None:
        fault = fault_of(error)
        if fault.kind in ("processing", "device"):
            self._logger.error("".join(traceback.format_exception(error)), once=True)
        release_frames(error)
        if fault.kind == "device":
            self.lost = fault
        self._faults.report(fault)
