"""Requests to detect objects once, as the folders of `ros` share them. Imports no ROS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from dspdet3d_ros.detector.result import DetectionSettings
from dspdet3d_ros.ros.results import CloudResult

if TYPE_CHECKING:
    from sensor_msgs.msg import PointCloud2


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    Attributes:
        text: doubts about cloud and boxes, why there are no boxes, or why nothing was found out.
        found: the detections; None if the request failed.
    """

    text: str
    found: CloudResult | None = None


@dataclass(frozen=True, eq=False)
class Request:
    """A request.

    Attributes:
        message: the cloud; None: the latest one that was received.
        pruning_threshold, score_threshold: in place of the node's own; None keeps those.
        answer: takes the answer, once, in any thread.
    """

    message: PointCloud2 | None
    pruning_threshold: float | None
    score_threshold: float | None
    answer: Callable[[Answer], None]

    def changed(self, settings: DetectionSettings) -> DetectionSettings:
        """The node's settings with the thresholds of the request."""
        own: dict[str, Any] = {"pruning_threshold": self.pruning_threshold, "score_threshold": self.score_threshold}
        return replace(settings, **{name: value for name, value in own.items() if value is not None})
