"""Why nothing is published, or nothing is found, in one line: the no-output diagnosis.

Imports no ROS.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dspdet3d_ros.detector.no_boxes import why_no_boxes
from dspdet3d_ros.ros.faults import Fault, log_at
from dspdet3d_ros.ros.results import Counts, LastResult

# Discovery takes a while, and so may the first cloud: a younger state is no fault yet. The sum of PATIENCE_S, HOLD_S
# and PERIOD_S is below 5 s.
PATIENCE_S = 2.0
HOLD_S = 1.5
PERIOD_S = 0.5
# A reason that stays is logged again after this time; one that went away for a moment is not logged again.
REPEAT_S = 300.0
FORGET_S = 10.0
SUGGESTIONS = 5


@dataclass(frozen=True)
class InputTopic:
    """The input topic as discovery shows it.

    Attributes:
        topic: full name, remapped.
        publishers: names of the nodes whose clouds can be received.
        incompatible: why clouds of the other publishers cannot be received, with the policies of both sides; empty if
            there are none.
        others: other topics on which somebody publishes clouds.
        asks: the subscription's policies in words.
        reliable: whether the subscription is.
        remedy: what to do if large best-effort clouds are lost; empty if they cannot be lost in this way.
    """

    topic: str
    publishers: tuple[str, ...] = ()
    incompatible: str = ""
    others: tuple[str, ...] = ()
    asks: str = ""
    reliable: bool = False
    remedy: str = ""


@dataclass(frozen=True)
class NodeSnapshot:
    """The state of a node and of its input topic at one moment.

    Attributes:
        node: its full name.
        state: its lifecycle state.
        faulty: whether the latest cloud, or the node itself, has a fault, which is logged elsewhere.
        input: the input topic; None if it was not examined.
        waited_s: time since the latest cloud, or since the subscription was made.
        lost: clouds that DDS says were lost since the latest one arrived.
        wanted: whether anybody subscribes to an output.
        counts: outcomes of the clouds.
        busy_s: time that the present cloud has taken so far.
        device: where the network runs.
        last_result: of the latest cloud, if any.
    """

    node: str
    state: str
    faulty: bool = False
    input: InputTopic | None = None
    waited_s: float = 0.0
    lost: int = 0
    wanted: bool = False
    counts: Counts = field(default_factory=Counts)
    busy_s: float = 0.0
    device: str = ""
    last_result: LastResult | None = None


def explain(seen: NodeSnapshot) -> Fault | None:
    """Why nothing is published or found; None if there is output, or if it is too early to say."""
    if seen.faulty:
        return None
    if seen.state in ("unconfigured", "inactive"):
        return Fault(seen.state, how_to_activate(seen.node, seen.state))
    if seen.state != "active":
        return None
    if seen.waited_s >= PATIENCE_S:
        reason = _no_cloud(seen)
        if reason or not seen.counts.received:
            return reason
    if not seen.counts.received:
        return None
    if not seen.wanted:
        return Fault(
            "subscriber",
            f"nobody subscribes to an output of {seen.node}: clouds are not processed; the latest one waits for a "
            "subscriber",
        )
    if seen.busy_s >= PATIENCE_S and not seen.counts.processed:
        return Fault(
            "slow", f"the first cloud is being processed, on {seen.device}; a higher pruning_threshold makes it faster"
        )
    return _no_box(seen.last_result) if seen.last_result and not seen.last_result.boxes else None


def how_to_activate(node: str, state: str) -> str:
    """Commands that activate a node in the state "unconfigured" or "inactive"."""
    steps = [f"`ros2 lifecycle set {node} {step}`" for step in ("configure", "activate")]
    return f"the node is {state}: run {' and '.join(steps if state == 'unconfigured' else steps[1:])}"


def _no_cloud(seen: NodeSnapshot) -> Fault | None:
    topic = seen.input
    if topic is None:
        return None
    if not topic.publishers:
        if topic.incompatible:
            return Fault("qos", topic.incompatible)
        any_more = " any more" if seen.counts.received else ""
        return Fault("publisher", f"nobody publishes {topic.topic}{any_more}; {_suggestion(topic)}")
    names = ", ".join(topic.publishers)
    if seen.lost:
        remedy = topic.remedy or (
            "the connection is too slow for them: publish fewer or smaller clouds"
            if topic.reliable
            else "publish reliably, with input_reliability auto or reliable here"
        )
        return Fault("lost", f"clouds of {names} on {topic.topic} are lost on their way, {seen.lost} so far: {remedy}")
    if seen.counts.received:
        return None
    remedy = f"; if it does: {topic.remedy}" if topic.remedy else ""
    also = f" | {topic.incompatible}" if topic.incompatible else ""
    return Fault(
        "quiet",
        f"{names} is connected to {topic.topic} ({topic.asks}), but no cloud has arrived: check with "
        f"`ros2 topic hz {topic.topic}` whether it publishes{remedy}{also}",
    )


def _suggestion(topic: InputTopic) -> str:
    if not topic.others:
        return (
            "no other topic has clouds (sensor_msgs/PointCloud2) either: is the publisher running, in this ROS domain?"
        )
    listed = ", ".join(topic.others[:SUGGESTIONS])
    more = len(topic.others) - SUGGESTIONS
    listed += f" and {more} more" if more > 0 else ""
    return f"remap it (launch argument input:={topic.others[0]}) to one that has clouds: {listed}"


def _no_box(result: LastResult) -> Fault | None:
    reason = why_no_boxes(result.stats, result.settings)
    return Fault(reason.kind, reason.text) if reason else None


class NoOutputDiagnosis:
    """Logs why nothing is published: each reason once, and again only after a time without it or after a long time.

    Args:
        logger: the node's.
        clock: monotonic time, seconds.
    """

    def __init__(self, logger: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger, self._clock = logger, clock
        self._candidate: Fault | None = None
        self._since = 0.0
        # By kind: reasons may take turns from one cloud to the next.
        self._logged_s: dict[str, float] = {}
        self._seen_s: dict[str, float] = {}

    @property
    def present(self) -> Fault | None:
        """The present reason, if it has held for HOLD_S."""
        held = self._clock() - self._since >= HOLD_S
        return self._candidate if self._candidate and held else None

    def update(self, reason: Fault | None) -> None:
        """Takes the reason of this moment, which `explain` gives; to be called every `PERIOD_S`."""
        now = self._clock()
        kind = reason.kind if reason else None
        if kind != (self._candidate.kind if self._candidate else None):
            self._since = now
        self._candidate = reason
        if self.present:
            self.report(self.present)

    def report(self, reason: Fault) -> None:
        """Logs a reason at once, unless it was logged recently."""
        now = self._clock()
        gone = now - self._seen_s.get(reason.kind, now) > FORGET_S
        self._seen_s[reason.kind] = now
        if reason.kind in self._logged_s and not gone and now - self._logged_s[reason.kind] < REPEAT_S:
            return
        self._logged_s[reason.kind] = now
        log_at(self._logger, reason.level, str(reason))
