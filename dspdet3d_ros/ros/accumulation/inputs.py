"""The accumulator's subscriptions of images and calibrations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dspdet3d_ros.mapping.pairing import Pairing
from dspdet3d_ros.ros.interface import qos, topics
from dspdet3d_ros.ros.interface.subscription import InputSubscription

# Images that wait while the executor is busy.
_DEPTH = 4


class ImageTopics:
    """The subscriptions of one kind of image: of raw images, and of compressed ones while nobody publishes raw ones.

    A driver compresses images only for subscribers. That costs it a core, and the same images would come twice.

    Args:
        node: the subscribing node.
        raw: of raw images.
        compressed: subscribes to compressed images.

    Attributes:
        names: full names of both topics.
    """

    def __init__(self, node: Node, raw: InputSubscription, compressed: Callable[[], InputSubscription]) -> None:
        self._node, self.raw, self._open = node, raw, compressed
        self._compressed: InputSubscription | None = compressed()
        self.names = raw.topic, self._compressed.topic

    @property
    def published(self) -> bool:
        """Whether anybody publishes such images."""
        return any(map(self._node.count_publishers, self.names))

    def look(self) -> None:
        """Begins and ends the subscription of compressed images."""
        if self._node.count_publishers(self.raw.topic):
            if self._compressed is not None:
                self._compressed.close()
                self._compressed = None
        elif self._compressed is None:
            self._compressed = self._open()

    def close(self) -> None:
        """Ends the subscriptions."""
        self.raw.close()
        if self._compressed is not None:
            self._compressed.close()


class Inputs:
    """Subscriptions that feed a pairing.

    Args:
        node: the subscribing node.
        pairing: takes the messages.
        reliability: "auto", "best_effort" or "reliable".
        lost: called with a number of depth images that DDS has lost on their way.
        report: called with one line if a publisher is not compatible.

    Attributes:
        depth: the subscriptions of depth images.
        colour: those of colour images.
        received: number of depth images.
    """

    def __init__(
        self,
        node: Node,
        pairing: Pairing,
        reliability: str,
        lost: Callable[[int], None],
        report: Callable[[str], None],
    ) -> None:
        self._node, self.received = node, 0

        def take_depth(message: Any) -> None:
            self.received += 1
            pairing.take_depth(message)

        def images(
            of: str, raw: str, compressed: str, take: Callable[[Any], None], lost: Callable[[int], None]
        ) -> ImageTopics:
            def subscribed(kind: type, name: str) -> InputSubscription:
                return InputSubscription(
                    node, kind, of, f"~/{name}", reliability, "volatile", take, lost, report, _DEPTH
                )

            return ImageTopics(node, subscribed(Image, raw), lambda: subscribed(CompressedImage, compressed))

        self.depth = images("depth images", topics.DEPTH, topics.DEPTH_COMPRESSED, take_depth, lost)
        self.colour = images(
            "colour images", topics.COLOUR, topics.COLOUR_COMPRESSED, pairing.take_colour, lambda _: None
        )

        def calibrations(name: str, take: Callable[[Any], None]) -> InputSubscription:
            # Some drivers publish a calibration once, latched.
            return InputSubscription(
                node, CameraInfo, "calibrations", f"~/{name}", qos.AUTO, qos.AUTO, take, lambda _: None, report
            )

        self._infos = (
            calibrations(topics.CAMERA_INFO, pairing.take_info),
            calibrations(topics.COLOUR_CAMERA_INFO, pairing.take_colour_info),
        )

    def look(self) -> None:
        """Follows the publishers: compressed images are taken while there are no raw ones."""
        for images in (self.depth, self.colour):
            images.look()

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscription in (self.depth, self.colour, *self._infos):
            subscription.close()
