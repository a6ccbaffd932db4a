"""Why the accumulator publishes nothing, in one line. Imports no ROS."""

from __future__ import annotations

from dataclasses import dataclass

from dspdet3d_ros.ros.faults import Fault
from dspdet3d_ros.ros.health.no_output import PATIENCE_S, SUGGESTIONS, InputTopic, how_to_activate


@dataclass(frozen=True)
class AccumulatorSnapshot:
    """The state of an accumulator at one moment.

    Attributes:
        node: its full name.
        state: its lifecycle state.
        faulty: whether the latest frame, or the node itself, has a fault, which is logged elsewhere.
        input: topic of the depth images; None if somebody publishes them on one of the topics, or it is not looked at.
        waited_s: since the latest frame, or since the subscriptions were made.
        received: number of depth images.
        processed: number of frames in the map.
        points: number of points of the cloud that was published last; None before the first one.
        min_observations: number of frames that must measure a voxel.
    """

    node: str
    state: str
    faulty: bool = False
    input: InputTopic | None = None
    waited_s: float = 0.0
    received: int = 0
    processed: int = 0
    points: int | None = None
    min_observations: int = 1


def explain(seen: AccumulatorSnapshot) -> Fault | None:
    """Why nothing is published; None where something is, or where it is too early to say."""
    if seen.faulty:
        return None
    if seen.state in ("unconfigured", "inactive"):
        return Fault(seen.state, how_to_activate(seen.node, seen.state))
    if seen.state != "active":
        return None
    if seen.waited_s >= PATIENCE_S and seen.input is not None and (fault := _no_image(seen, seen.input)):
        return fault
    # Also where the camera pauses.
    if seen.processed and seen.points == 0:
        return Fault(
            "slow",
            f"no voxel was measured by min_observations = {seen.min_observations} frames so far, of {seen.processed}; "
            "let the camera see the scene for longer, or lower min_observations",
        )
    return None


def _no_image(seen: AccumulatorSnapshot, topic: InputTopic) -> Fault | None:
    if topic.incompatible and not topic.publishers:
        return Fault("qos", topic.incompatible)
    if not topic.publishers:
        any_more = " any more" if seen.received else ""
        listed = ", ".join(topic.others[:SUGGESTIONS])
        advice = f"remap it to one that has images: {listed}" if listed else "no other topic has images either"
        return Fault("publisher", f"nobody publishes depth images on {topic.topic}{any_more}; {advice}")
    if seen.received:
        return None
    names = ", ".join(topic.publishers)
    return Fault(
        "quiet",
        f"{names} is connected to {topic.topic} ({topic.asks}), but no depth image has come: see with "
        f"`ros2 topic hz {topic.topic}` whether it publishes",
    )
