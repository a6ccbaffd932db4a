"""Quality of service of the node's topics, and reports on peers with incompatible policies."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rclpy.clock import Clock, ClockType
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from rclpy.topic_endpoint_info import TopicEndpointInfo

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:
    # The name of this module in Humble.
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

UnsupportedEventTypeError = rclpy_implementation.UnsupportedEventTypeError
Made = TypeVar("Made")

AUTO = "auto"
NAMED_S = 1.0
# The node name that rmw gives until discovery knows it.
UNKNOWN_NODE = "_NODE_NAME_UNKNOWN_"
OUTPUT = QoSProfile(depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


def input_qos(reliability: str, durability: str, offered: Sequence[QoSProfile] = (), depth: int = 1) -> QoSProfile:
    """The profile of a subscription: only the latest message, or the latest ones.

    Args:
        reliability: "best_effort", "reliable" or "auto": reliable if all publishers are.
        durability: "volatile", "transient_local" or "auto": transient_local if all publishers are.
        offered: the profiles of the publishers. Without any, "auto" takes what every publisher is compatible with.
        depth: number of messages that wait.
    """
    if reliability == AUTO:
        reliable = offered and all(profile.reliability == ReliabilityPolicy.RELIABLE for profile in offered)
        reliability = "reliable" if reliable else "best_effort"
    if durability == AUTO:
        latched = offered and all(profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for profile in offered)
        durability = "transient_local" if latched else "volatile"
    return QoSProfile(
        depth=depth,
        history=HistoryPolicy.KEEP_LAST,
        reliability=ReliabilityPolicy[reliability.upper()],
        durability=DurabilityPolicy[durability.upper()],
    )


def described(qos: QoSProfile) -> str:
    """Reliability and durability in words."""
    return f"{qos.reliability.short_key}, {qos.durability.short_key}"


def node_name(info: TopicEndpointInfo) -> str:
    """Full name of the node of a publisher or subscription; discovery may learn of it later than of its topic."""
    if info.node_name == UNKNOWN_NODE:
        return "a node of unknown name"
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def publishers(node: Node, topic: str, own: QoSProfile) -> tuple[list[str], list[str]]:
    """The publishers that a subscription receives from, and why it cannot receive from the others.

    Args:
        node: the subscribing node.
        topic: the topic's full name.
        own: the subscription's profile.

    Returns:
        The full names of the nodes that it receives from; what the others offer and which parameters to change.
    """
    compatible, faults = [], []
    for publisher in node.get_publishers_info_by_topic(topic):
        offered, fixes = publisher.qos_profile, []
        if own.reliability == ReliabilityPolicy.RELIABLE and offered.reliability == ReliabilityPolicy.BEST_EFFORT:
            fixes.append("input_reliability to auto")
        if own.durability == DurabilityPolicy.TRANSIENT_LOCAL and offered.durability == DurabilityPolicy.VOLATILE:
            fixes.append("input_durability to auto")
        if fixes:
            faults.append(f"{node_name(publisher)} offers {described(offered)}; set {' and '.join(fixes)}")
        else:
            compatible.append(node_name(publisher))
    return compatible, faults


def incompatible_publishers(node: Node, topic: str, own: QoSProfile, of: str = "clouds") -> str:
    """The reason why a subscription does not receive from publishers of its topic, in one line with both policies.

    Args:
        node: the subscribing node.
        topic: the topic's full name.
        own: the subscription's profile.
        of: name of the messages, in the plural.
    """
    listed = " | ".join(publishers(node, topic, own)[1]) or "its publisher has already gone"
    return f"no {of} can be received on {topic}: this node asks for {described(own)}, but {listed}"


def with_events(make: Callable[..., Made], events: Any) -> Made:
    """A publisher or subscription with callbacks for its events; with rclpy's own if the middleware lacks some.

    Args:
        make: makes it, given `event_callbacks` or nothing.
        events: the callbacks.
    """
    try:
        return make(event_callbacks=events)
    except UnsupportedEventTypeError:
        return make()


def after_discovery(node: Node, call: Callable[[], None]) -> None:
    """Calls a function a little later: discovery knows the policies of a peer before the name of its node."""

    def once() -> None:
        node.destroy_timer(timer)
        call()

    timer = node.create_timer(NAMED_S, once, clock=Clock(clock_type=ClockType.STEADY_TIME))


def incompatible_subscribers(node: Node, topic: str, own: QoSProfile) -> str:
    """The subscribers of an output that ask for more than the node offers, in one line with both policies."""
    asked = [
        f"{node_name(info)} asks for {described(info.qos_profile)}"
        for info in node.get_subscriptions_info_by_topic(topic)
        if qos_check_compatible(own, info.qos_profile)[0] == QoSCompatibility.ERROR
    ]
    listed = " | ".join(asked) or "its subscriber has already gone"
    return f"a subscriber of {topic} will receive nothing: this node offers {described(own)}, but {listed}"


__all__ = [
    "AUTO",
    "LATCHED",
    "OUTPUT",
    "PublisherEventCallbacks",
    "SubscriptionEventCallbacks",
    "after_discovery",
    "described",
    "incompatible_publishers",
    "incompatible_subscribers",
    "input_qos",
    "node_name",
    "publishers",
    "with_events",
]
