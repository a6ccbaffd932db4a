"""A subscription that can follow the quality of service of its publishers."""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo

from dspdet3d_ros.ros.interface import qos

LOOK_S = 0.25
# The number of checks for which a replaced subscription still receives: publishers must discover its successor first.
OVERLAP_LOOKS = 8
# Distinguishes a message from all others.
Mark = tuple[int | str, ...]
# The number of messages that are remembered: more than arrive while a message is on its way to a second subscription.
REMEMBERED = 256
# The most publishers that a line of the log lists.
LISTED = 5


class InputSubscription:
    """A subscription of messages that have a header.

    A policy that is "auto" follows the publishers: reliable, or transient_local, if all of them are; else best_effort,
    or volatile, which are compatible with every publisher. A new subscription then replaces the old one. Both receive
    for a while, so that no message is lost; one that both receive is taken once.

    Args:
        node: the subscribing node.
        kind: type of the messages.
        of: name of the messages in the log, in the plural.
        topic: the input.
        reliability: "auto", "best_effort" or "reliable".
        durability: "auto", "volatile" or "transient_local".
        take: takes the messages.
        lost: called with a number of messages that DDS has lost on their way.
        report: called with one line if a publisher is not compatible.
        depth: number of messages that wait while the executor is busy.

    Attributes:
        topic: full name of the topic.
        profile: the present policies.
        reason: the policies in words, and why "auto" chose them.
    """

    def __init__(
        self,
        node: Node,
        kind: type,
        of: str,
        topic: str,
        reliability: str,
        durability: str,
        take: Callable[[Any], None],
        lost: Callable[[int], None],
        report: Callable[[str], None],
        depth: int = 1,
    ) -> None:
        self._node, self._kind, self.of, self._name, self._depth = node, kind, of, topic, depth
        self._policies, self._follows = (reliability, durability), qos.AUTO in (reliability, durability)
        self._take, self._lost, self._report = take, lost, report
        self.topic = node.resolve_topic_name(topic)
        # The messages that were taken last. Two subscriptions may deliver one, and a new one what was latched before.
        self._taken: deque[Mark] = deque(maxlen=REMEMBERED)
        # Replaced subscriptions, by the number of checks for which they still receive.
        self._replaced: dict[Subscription, int] = {}
        self._candidate: QoSProfile | None = None
        self._timer = None
        self._choose(*self._fitting())
        if self._follows:
            self._timer = node.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Ends the subscription."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        for subscription in (*self._replaced, self._subscription):
            self._node.destroy_subscription(subscription)
        self._replaced.clear()
        self._taken.clear()

    def _fitting(self) -> tuple[QoSProfile, list[TopicEndpointInfo]]:
        """The profile that fits the present publishers, and the publishers."""
        publishers = self._node.get_publishers_info_by_topic(self.topic) if self._follows else []
        return qos.input_qos(*self._policies, [info.qos_profile for info in publishers], self._depth), publishers

    def _choose(self, profile: QoSProfile, publishers: list[TopicEndpointInfo]) -> None:
        self.profile = profile
        self.reason = _reason(profile, publishers, self.of) if self._follows else qos.described(profile)
        self._subscription = self._subscribe(profile)

    def _subscribe(self, profile: QoSProfile) -> Subscription:
        def report_publishers() -> None:
            if self._subscription is not subscription or not self._is_open(subscription):
                return
            # In most cases a subscription with "auto" is compatible by now.
            if not self._follows or qos.publishers(self._node, self.topic, profile)[1]:
                self._report(qos.incompatible_publishers(self._node, self.topic, profile, self.of))

        def lost(event: Any) -> None:
            if self._subscription is subscription:
                self._lost(event.total_count_change)

        events = qos.SubscriptionEventCallbacks(
            incompatible_qos=lambda _: qos.after_discovery(self._node, report_publishers), message_lost=lost
        )
        make = partial(
            self._node.create_subscription,
            self._kind,
            self._name,
            self._receive,
            profile,
        )
        subscription: Subscription = qos.with_events(make, events)
        return subscription

    def _is_open(self, subscription: Subscription) -> bool:
        return any(present is subscription for present in self._node.subscriptions)

    # The second argument tells rclpy to pass the information on the message too.
    def _receive(self, message: Any, info: Mapping[str, Any]) -> None:
        if self._follows:
            mark = _identity(message, info)
            # A middleware that does not know when a message was sent cannot tell two equal ones apart.
            if info["source_timestamp"] and mark in self._taken:
                return
            self._taken.append(mark)
        self._take(message)

    def _look(self) -> None:
        """Replaces the subscription if another profile fits the publishers, and ends those replaced before."""
        self._replaced = {subscription: looks - 1 for subscription, looks in self._replaced.items()}
        for subscription in [subscription for subscription, looks in self._replaced.items() if not looks]:
            self._node.destroy_subscription(subscription)
            del self._replaced[subscription]
        profile, publishers = self._fitting()
        if profile == self.profile:
            self._candidate = None
        elif profile == self._candidate or not _asks_for_more(profile, self.profile):
            self._replace(profile, publishers)
        else:
            # Several nodes may be starting: a stricter profile must fit at two checks.
            self._candidate = profile

    def _replace(self, profile: QoSProfile, publishers: list[TopicEndpointInfo]) -> None:
        old = self._subscription
        self._candidate = None
        self._choose(profile, publishers)
        self._replaced[old] = OVERLAP_LOOKS
        self._node.get_logger().info(f"taking {self.of} from {self.topic} ({self.reason})")


def _identity(message: Any, info: Mapping[str, Any]) -> Mark:
    """The mark of a message, different from that of another one with the same content."""
    stamp, data = message.header.stamp, getattr(message, "data", b"")
    size = getattr(message, "width", 0), getattr(message, "height", 0)
    return info["source_timestamp"], stamp.sec, stamp.nanosec, message.header.frame_id, *size, len(data)


def _asks_for_more(new: QoSProfile, old: QoSProfile) -> bool:
    """Whether a profile has a policy that is stricter than that of another profile."""
    reliable, latched = ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL
    more_reliable = (new.reliability == reliable) > (old.reliability == reliable)
    return more_reliable or (new.durability == latched) > (old.durability == latched)


def _reason(profile: QoSProfile, publishers: list[TopicEndpointInfo], of: str) -> str:
    """The profile and why it was chosen, for the log."""
    text = qos.described(profile)
    if not publishers:
        return f"{text}, as there is no publisher yet"
    offers = [f"{qos.node_name(info)} offers {qos.described(info.qos_profile)}" for info in publishers]
    more = [f"{len(offers) - LISTED} more"] if len(offers) > LISTED else []
    text = f"{text}, as {' | '.join(offers[:LISTED] + more)}"
    latched = any(info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for info in publishers)
    if latched and profile.durability == DurabilityPolicy.VOLATILE:
        text += f"; {of} that were latched before are not received"
    return text
