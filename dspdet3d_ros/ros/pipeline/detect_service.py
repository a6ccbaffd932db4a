"""The service ~/detect: one cloud, one answer, while the stream of clouds goes on."""

import math
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.task import Future

from dspdet3d_ros.errors import InputError, one_line
from dspdet3d_ros.ros.interface.outputs import Publication
from dspdet3d_ros.ros.pipeline.processing import Processing
from dspdet3d_ros.ros.requests import Answer, Request
from dspdet3d_ros.srv import Detect
from dspdet3d_ros.validation import SHARE, mismatch

SERVICE = "detect"


class DetectService:
    """Answers requests of ~/detect.

    Args:
        node: the node.
        processing: what works on clouds; None while the node is not active.
        refusal: why there is none, and what to do.
    """

    def __init__(
        self, node: LifecycleNode, processing: Callable[[], Processing | None], refusal: Callable[[], str]
    ) -> None:
        self._node, self._processing, self._refusal = node, processing, refusal
        # In a group of its own: while a request waits for its answer, parameters and timers go on.
        group = ReentrantCallbackGroup()
        self._service = node.create_service(Detect, f"~/{SERVICE}", self._answer, callback_group=group)

    async def _answer(self, request: Detect.Request, response: Detect.Response) -> Detect.Response:
        try:
            processing = self._processing()
            if processing is None:
                raise InputError(self._refusal())
            tau = _threshold("pruning_threshold", request.pruning_threshold)
            score = _threshold("score_threshold", request.score_threshold)
            answered: Future[Any] = Future(executor=self._node.executor)
            message = request.cloud if request.cloud.fields else None
            processing.request(Request(message, tau, score, self._waking(answered)))
            answer = await answered
            # Only `Request.answer` sets it.
            assert isinstance(answer, Answer)
            return self._filled(answer, processing, response)
        except InputError as error:
            response.message = str(error)
        except Exception as error:
            # The node keeps running whatever a request does.
            self._node.get_logger().error(f"{SERVICE}: {one_line(error)}")
            response.message = one_line(error)
        return response

    def _waking(self, answered: Future) -> Callable[[Answer], None]:
        """Takes the answer in any thread, and lets the executor go on with it."""

        def take(answer: Answer) -> None:
            answered.set_result(answer)
            if self._node.executor is not None:
                self._node.executor.wake()

        return take

    def _filled(self, answer: Answer, processing: Processing, response: Detect.Response) -> Detect.Response:
        if answer.found is None:
            response.message = answer.text
            return response
        publication: Publication = processing.outputs.publication(answer.found, processing.worker.counts)
        response.detections, response.stats = processing.outputs.answer_messages(publication)
        response.success, response.message = True, answer.text
        return response


def _threshold(name: str, value: float) -> float | None:
    """A threshold of a request; None for the node's own.

    Raises:
        InputError: it is above 1.
    """
    if math.isnan(value) or value < 0:
        return None
    text = mismatch(value, float, SHARE)
    if text:
        raise InputError(f"{name}: {text}; a negative number takes the node's own")
    return value
