"""A snapshot of a node and of the graph around its input topic, for `no_output.explain`."""

import time

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import get_rmw_implementation_identifier

from dspdet3d_ros.ros.health.no_output import PATIENCE_S, InputTopic, NodeSnapshot
from dspdet3d_ros.ros.interface import fastdds, qos
from dspdet3d_ros.ros.interface.subscription import InputSubscription
from dspdet3d_ros.ros.pipeline.processing import Processing

CLOUD_TYPE = "sensor_msgs/msg/PointCloud2"


def node_snapshot(
    node: Node,
    state: str,
    faulty: bool,
    processing: Processing | None,
    subscription: InputSubscription | None,
    device: str,
) -> NodeSnapshot:
    """The present state of the node and of its input topic.

    Args:
        node: the node.
        state: its lifecycle state.
        faulty: whether there is a fault, which is reported elsewhere.
        processing: takes and processes clouds, if the node is configured.
        subscription: of the clouds, if the node is active.
        device: where the network runs.
    """
    name = node.get_fully_qualified_name()
    if processing is None or subscription is None:
        return NodeSnapshot(name, state, faulty)
    waited_s = processing.traffic.waited_s(time.monotonic())
    # Discovery is queried only if the result matters.
    ask = waited_s >= PATIENCE_S
    return NodeSnapshot(
        node=name,
        state=state,
        faulty=faulty,
        input=input_snapshot(node, subscription.topic, subscription.profile) if ask else None,
        waited_s=waited_s,
        lost=processing.traffic.lost_since_arrival,
        wanted=processing.outputs.wanted,
        counts=processing.worker.counts,
        busy_s=processing.worker.busy_s,
        device=device,
        last_result=processing.last_result,
    )


def input_snapshot(node: Node, topic: str, own: QoSProfile, kind: str = CLOUD_TYPE, of: str = "clouds") -> InputTopic:
    """The input topic as discovery shows it.

    Args:
        node: the subscribing node.
        topic: the topic's full name.
        own: the subscription's profile.
        kind: type of the topic.
        of: name of the messages, in the plural.
    """
    compatible, incompatible = qos.publishers(node, topic, own)
    others = [] if compatible or incompatible else _other_topics(node, topic, kind)
    reliable = own.reliability == ReliabilityPolicy.RELIABLE
    lossy = not reliable and "fastrtps" in get_rmw_implementation_identifier()
    return InputTopic(
        topic=topic,
        publishers=tuple(compatible),
        incompatible=qos.incompatible_publishers(node, topic, own, of) if incompatible else "",
        others=tuple(others),
        asks=qos.described(own),
        reliable=reliable,
        remedy=fastdds.remedy() if lossy else "",
    )


def _other_topics(node: Node, topic: str, kind: str) -> list[str]:
    """Topics of this type, other than this one, on which another node publishes."""
    return sorted(
        name
        for name, types in node.get_topic_names_and_types()
        if kind in types and name != topic and _published_by_others(node, name)
    )


def _published_by_others(node: Node, topic: str) -> bool:
    """Whether the topic has a publisher of another node."""
    own = (node.get_namespace(), node.get_name())
    return any((info.node_namespace, info.node_name) != own for info in node.get_publishers_info_by_topic(topic))
