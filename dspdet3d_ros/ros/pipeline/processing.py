"""The processing of a cloud, from the arrival of its message to the answer."""

import threading
import time
import traceback
from dataclasses import dataclass, replace
from typing import Any

from rclpy.time import Time
from sensor_msgs.msg import PointCloud2

from dspdet3d_ros.clouds.pointcloud2 import CloudLayoutError
from dspdet3d_ros.detector.no_boxes import why_no_boxes
from dspdet3d_ros.errors import InputError, one_line
from dspdet3d_ros.ros.faults import Fault, FaultLog, fault_of, release_frames
from dspdet3d_ros.ros.interface.outputs import Outputs, Publication
from dspdet3d_ros.ros.interface.topics import OBJECT_POINTS
from dspdet3d_ros.ros.pipeline.frames import TargetFrame
from dspdet3d_ros.ros.pipeline.pipeline import Arrival, Pipeline, check_message, free_gpu_memory
from dspdet3d_ros.ros.pipeline.stamps import StampOrder
from dspdet3d_ros.ros.pipeline.traffic import Traffic
from dspdet3d_ros.ros.pipeline.worker import LatestWorker
from dspdet3d_ros.ros.requests import Answer, Request
from dspdet3d_ros.ros.results import CloudResult, Counts, LastResult
from dspdet3d_ros.system import return_freed_memory

#: Requests that may wait for an answer.
MOST_REQUESTS = 8


@dataclass(frozen=True)
class Repetition:
    """An answer that is to be published again, for consumers that came after it.

    Attributes:
        answer: as it was published first.
        names: the outputs that have a new subscriber.
        message: the cloud, from which points of objects can still be made; None if a newer one has come.
    """

    answer: Publication
    names: frozenset[str]
    message: PointCloud2 | None


class Processing:
    """Takes clouds, processes them in a thread, and publishes the detections.

    While nobody subscribes to an output, the latest cloud waits. A consumer that comes after an answer gets it again:
    a map may be published only once.

    Args:
        pipeline: from cloud to boxes.
        outputs: the node's publishers.
        faults: gets all faults.
        target: the frame to which the pipeline brings clouds, if any.
        logger: the node's.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        outputs: Outputs,
        faults: FaultLog,
        target: TargetFrame | None,
        logger: Any,
    ) -> None:
        self.outputs, self.traffic = outputs, Traffic()
        # Set if the device is lost: this process cannot compute any more.
        self.lost: Fault | None = None
        self.last_result: LastResult | None = None
        self._pipeline, self._faults, self._target, self._logger = pipeline, faults, target, logger
        self._order = StampOrder()
        # The cloud that was taken last; the answer that was published last, and its cloud.
        self._latest: Arrival | None = None
        self._published: Publication | None = None
        # Outputs that have a new subscriber, and the answer that was the last one when it came.
        self._newcomers: tuple[frozenset[str], Publication | None] = frozenset(), None
        # Requests that have no answer yet.
        self._requests: list[Request] = []
        self._requests_lock = threading.Lock()
        self.worker: LatestWorker[Arrival | Repetition | Request, CloudResult | Repetition | Request] = LatestWorker(
            self._compute,
            self._publish,
            self._on_failure,
            wanted=lambda: self.outputs.wanted and not self.lost,
            rest=return_freed_memory,
        )
        self.worker.start()

    def take(self, message: PointCloud2) -> None:
        """Gives a cloud to the worker, or refuses it with a reason; takes microseconds and never raises."""
        arrived_s, wanted = time.monotonic(), self.outputs.wanted
        self.traffic.arrived(arrived_s)
        try:
            arrival = Arrival(message, check_message(message), arrived_s, wanted)
            text = self._order.fault(Time.from_msg(message.header.stamp).nanoseconds)
            if text:
                raise CloudLayoutError("order", text)
        except Exception as error:
            self.worker.count_refused()
            self._faults.report(fault_of(error))
            return
        if self.lost:
            self.worker.count_ignored()
            return
        self._logger.debug(f"took a cloud of {message.width * message.height} points")
        self._latest = arrival
        self.worker.submit(arrival)

    def request(self, request: Request) -> None:
        """Has a cloud worked on next, once; the request gets the answer. The stream of clouds is not changed.

        Raises:
            InputError: there is no cloud, the cloud cannot be used, or too many requests wait.
        """
        if self.lost:
            raise InputError(f"the device is lost ({self.lost.text}); start the node again")
        if request.message is not None:
            check_message(request.message)
        elif self._latest is None:
            raise InputError("no cloud was received so far; send one with the request, or check the publisher")
        with self._requests_lock:
            if len(self._requests) >= MOST_REQUESTS:
                raise InputError(f"{MOST_REQUESTS} requests wait already; wait for their answers")
            self._requests.append(request)
        self.worker.submit_request(request)

    def forget_objects(self) -> None:
        """Forgets the tracked objects; the next ones get new numbers."""
        self._pipeline.forget_objects()

    def look_for_consumers(self) -> None:
        """Works on the cloud that waits, or publishes the last answer again, if somebody has subscribed since."""
        names, last = self._newcomers
        if names and last is not None and last is self._published:
            # One check after their discovery: by now they have discovered the publisher too.
            latest = self._latest
            known = latest is not None and latest.time_s == last.found.arrival_s
            self.worker.submit_again(Repetition(last, names, latest.message if latest and known else None))
        # In this order: an answer that is published meanwhile reaches the newcomers.
        published = self._published
        self._newcomers = frozenset(self.outputs.newcomers()), published
        self.worker.wake()

    def restart(self) -> None:
        """Forgets all clouds and answers and counts from zero; nothing taken before is published any more."""
        self.worker.discard()
        self._refuse_requests("the node was deactivated before the cloud was done; activate it, and ask again")
        self._forget()
        self.traffic, self.last_result = Traffic(), None

    def time_set_back(self) -> None:
        """Forgets clouds, their order, answers and transforms: their stamps are now in the future."""
        self.worker.drop()
        self._refuse_requests("time was set back before the cloud was done; ask again")
        self._forget()
        if self._target is not None:
            self._target.forget()
        self._logger.warning("time was set back: earlier clouds and transforms are forgotten")

    def failure(self, watchdog_timeout_s: float) -> str | None:
        """Why the worker cannot continue, in one line, or None.

        Args:
            watchdog_timeout_s: the time that one cloud may take; 0: any.
        """
        if not self.worker.alive:
            death = self.worker.death
            reason = one_line(death) if death else "no reason is known"
            return f"the thread that processes clouds has ended ({reason}); configure the node again"
        if 0 < watchdog_timeout_s < self.worker.busy_s:
            return (
                f"a cloud has been processed for more than watchdog_timeout_s = {watchdog_timeout_s:g} s; "
                "configure the node again"
            )
        return None

    def close(self, timeout_s: float) -> bool:
        """Stops; False if a cloud is still being processed after `timeout_s`."""
        finished = self.worker.stop(timeout_s)
        self._refuse_requests("the node was cleaned up before the cloud was done; configure it, and ask again")
        self.outputs.destroy()
        if self._target is not None:
            self._target.close()
        return finished

    def _compute(self, job: Arrival | Repetition | Request) -> CloudResult | Repetition | Request:
        if isinstance(job, Arrival):
            return self._pipeline(job)
        if isinstance(job, Request):
            self._answer(job, self._detect_once(job))
            return job
        found = job.answer.found
        if OBJECT_POINTS not in job.names or found.objects is not None or job.message is None:
            return job
        found = replace(found, objects=self._pipeline.object_points(job.message, found))
        return replace(job, answer=replace(job.answer, found=found))

    def _detect_once(self, request: Request) -> Answer:
        """The answer to a request. A cloud that cannot be used is no fault of the node."""
        latest = self._latest
        if request.message is None:
            if latest is None:
                return Answer("the latest cloud was forgotten; ask again when there is another one")
            arrival = replace(latest, wanted=False)
        else:
            arrival = Arrival(request.message, check_message(request.message), time.monotonic(), False)
        try:
            found = self._pipeline.once(arrival, request.changed)
        except InputError as error:
            return Answer(str(error))
        texts = [remark.text for remark in found.remarks]
        detections = found.result.detections
        if not len(detections) and (reason := why_no_boxes(detections.stats, found.result.settings)):
            texts.append(reason.text)
        return Answer("; ".join(texts), found.result)

    def _answer(self, request: Request, answer: Answer) -> None:
        """Answers a request, unless it has been answered."""
        with self._requests_lock:
            if request not in self._requests:
                return
            self._requests.remove(request)
        request.answer(answer)

    def _refuse_requests(self, text: str) -> None:
        with self._requests_lock:
            waiting = list(self._requests)
        for request in waiting:
            self._answer(request, Answer(text))

    def _publish(self, done: CloudResult | Repetition | Request, counts: Counts) -> None:
        """Runs in the worker's thread, never while or after the node is deactivated."""
        if isinstance(done, Request):
            return
        if isinstance(done, Repetition):
            self.outputs.publish(done.answer, done.names)
            return
        publication = self.outputs.publication(done, counts)
        self.outputs.publish(publication)
        self._published = publication
        self.last_result = LastResult(len(done.detections), done.detections.stats, done.settings)
        self.traffic.answered(publication.timing.latency_ms)
        if not_finite := done.detections.stats.not_finite:
            self._faults.report(Fault("boxes", f"{not_finite} boxes are not finite or without volume"))
        else:
            self._faults.good()

    def _forget(self) -> None:
        self._pipeline.forget_objects()
        self._order.forget()
        self._latest = self._published = None
        self._newcomers = frozenset(), None

    def _on_failure(self, job: Arrival | Repetition | Request, error: Exception) -> None:
        fault = fault_of(error)
        if isinstance(job, Request):
            self._answer(job, Answer(str(fault)))
        if fault.kind in ("processing", "device"):
            self._logger.error("".join(traceback.format_exception(error)), once=True)
        # The traceback's frames refer to the tensors of the network, so no memory could be freed.
        release_frames(error)
        if fault.kind == "device":
            self.lost = fault
        else:
            free_gpu_memory()
        self._faults.report(fault)
