"""The topics that the node publishes."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from dspdet3d_ros.message_contents import Timing
from dspdet3d_ros.msg import PruningStats
from dspdet3d_ros.ros.interface import messages, qos
from dspdet3d_ros.ros.interface.collision_objects import CollisionObjects, collision_type
from dspdet3d_ros.ros.interface.topics import COLLISION_OBJECTS, DETECTIONS, LABEL_INFO, MARKERS, OBJECT_POINTS, STATS
from dspdet3d_ros.ros.results import CloudResult, Counts

# The messages of an answer. Without a subscriber of any of these nothing is computed.
RESULTS = {DETECTIONS: Detection3DArray, MARKERS: MarkerArray, STATS: PruningStats, OBJECT_POINTS: PointCloud2}
if collision_type() is not None:
    RESULTS[COLLISION_OBJECTS] = collision_type()
# One message per object.
_PROFILES = {COLLISION_OBJECTS: qos.BURST}


@dataclass(frozen=True)
class Publication:
    """The contents of an answer's messages; they are the same at each publication.

    Attributes:
        found: the detections of a cloud.
        timing: when they were published first.
        counts: of the clouds until then.
    """

    found: CloudResult
    timing: Timing
    counts: Counts


class Outputs:
    """Publishers of a lifecycle node, which send only while it is active.

    Args:
        node: the node.
        model: name of its model.
        class_names: all classes that the model knows.
    """

    def __init__(self, node: LifecycleNode, model: str, class_names: tuple[str, ...]) -> None:
        self._node, self._model, self._class_names = node, model, class_names
        self._collision_objects = CollisionObjects()
        self.publishers = {
            name: self._publisher(name, kind, _PROFILES.get(name, qos.OUTPUT)) for name, kind in RESULTS.items()
        }
        self.publishers[LABEL_INFO] = self._publisher(LABEL_INFO, LabelInfo, qos.LATCHED)
        self._subscribers: dict[str, set[tuple[int, ...]]] = {name: set() for name in RESULTS}

    @property
    def wanted(self) -> bool:
        """Whether any output in `RESULTS` has a subscriber, and had one at the last call of `newcomers`.

        A newcomer thus gets what is computed for it, and not the same answer again.
        """
        return any(self._subscribers[name] and self.wants(name) for name in RESULTS)

    def wants(self, name: str) -> bool:
        """Whether this output has a subscriber; False after `destroy`."""
        publisher = self.publishers.get(name)
        try:
            return publisher is not None and publisher.get_subscription_count() > 0
        except RuntimeError:
            # A signal may shut the context down while a cloud is processed; then there is no subscriber any more.
            if self._node.context.ok():
                raise
            return False

    @property
    def subscribers(self) -> dict[str, int]:
        """The number of subscribers of each output in `RESULTS` at the last call of `newcomers`."""
        return {name: len(present) for name, present in self._subscribers.items()}

    def newcomers(self) -> set[str]:
        """The outputs, of those in `RESULTS`, that have a subscriber who was not there at the call before."""
        new = set()
        for name, publisher in self.publishers.items():
            if name not in RESULTS:
                continue
            infos = self._node.get_subscriptions_info_by_topic(publisher.topic_name)
            # By identity, not by number: one may join as another leaves.
            present = {tuple(info.endpoint_gid) for info in infos}
            if present - self._subscribers[name]:
                new.add(name)
            self._subscribers[name] = present
        return new

    def publication(self, found: CloudResult, counts: Counts) -> Publication:
        """The answer with these detections, published now."""
        now_s, now_ns = time.monotonic(), self._node.get_clock().now().nanoseconds
        timing = Timing(
            latency_ms=(now_s - found.start_s) * 1e3, age_ms=messages.age_ms(found.placement.header, now_ns)
        )
        return Publication(found, timing, counts)

    def publish(self, answer: Publication, names: Collection[str] = tuple(RESULTS)) -> None:
        """Publishes an answer, under the cloud's stamp, on the outputs with these names."""
        found = answer.found
        header, detections = found.placement.header, found.detections
        # All are made before the first is sent, so that an error cannot leave a partial answer.
        boxes, stats = self.answer_messages(answer)
        made: dict[str, Any] = {DETECTIONS: boxes, STATS: stats}
        if self.wants(MARKERS):
            made[MARKERS] = messages.marker_array(header, detections, found.settings)
        if found.objects is not None:
            made[OBJECT_POINTS] = messages.object_points(header, found.objects)
        several = [] if found.scene is None else self._collision_objects.messages(header, found.scene)
        for name, message in made.items():
            if name in names:
                self.publishers[name].publish(message)
        if COLLISION_OBJECTS in names and COLLISION_OBJECTS in self.publishers:
            for message in several:
                self.publishers[COLLISION_OBJECTS].publish(message)

    def answer_messages(self, answer: Publication) -> tuple[Detection3DArray, PruningStats]:
        """The boxes and the statistics of an answer."""
        header, detections = answer.found.placement.header, answer.found.detections
        stats = messages.stats_message(header, detections, self._model, answer.timing, answer.counts)
        return messages.detection_array(header, detections), stats

    def publish_labels(self, score_threshold: float) -> None:
        """Publishes the class names and the threshold, latched."""
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self.publishers[LABEL_INFO].publish(messages.label_info(self._class_names, score_threshold, header))

    def destroy(self) -> None:
        """Destroys the publishers."""
        for publisher in self.publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self.publishers = {}

    def _publisher(self, name: str, kind: type, profile: QoSProfile) -> Any:
        topic = f"~/{name}"

        def report() -> None:
            if name not in self.publishers:
                return
            full_name = self._node.resolve_topic_name(topic)
            self._node.get_logger().warning(qos.incompatible_subscribers(self._node, full_name, profile))

        events = qos.PublisherEventCallbacks(incompatible_qos=lambda _: qos.after_discovery(self._node, report))
        return qos.with_events(partial(self._node.create_lifecycle_publisher, kind, topic, profile), events)
