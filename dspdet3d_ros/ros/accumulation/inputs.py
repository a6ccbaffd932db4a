"""The accumulator's subscriptions of images and calibrations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dspdet3d_ros.mapping.pairing import Pairing
from dspdet3d_ros.ros.interface import topics
from dspdet3d_ros.ros.interface.subscription import InputSubscription

# Images that wait while the executor is busy.
_DEPTH = 4
_INFO = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class Inputs:
    """Subscriptions that feed a pairing.

    Args:
        node: the subscribing node.
        pairing: takes the messages.
        reliability: "auto", "best_effort" or "reliable".
        lost: called with a number of depth images that DDS has lost on their way.
        report: called with one line if a publisher is not compatible.

    Attributes:
        depth: the subscriptions of depth images, raw and compressed.
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
            kind: type, of: str, name: str, take: Callable[[Any], None], lost: Callable[[int], None]
        ) -> InputSubscription:
            return InputSubscription(node, kind, of, f"~/{name}", reliability, "volatile", take, lost, report, _DEPTH)

        self.depth = (
            images(Image, "depth images", topics.DEPTH, take_depth, lost),
            images(CompressedImage, "depth images", topics.DEPTH_COMPRESSED, take_depth, lost),
        )
        self.colour = (
            images(Image, "colour images", topics.COLOUR, pairing.take_colour, lambda _: None),
            images(CompressedImage, "colour images", topics.COLOUR_COMPRESSED, pairing.take_colour, lambda _: None),
        )
        self._infos = (
            node.create_subscription(CameraInfo, f"~/{topics.CAMERA_INFO}", pairing.take_info, _INFO),
            node.create_subscription(CameraInfo, f"~/{topics.COLOUR_CAMERA_INFO}", pairing.take_colour_info, _INFO),
        )

    @property
    def has_colour(self) -> bool:
        """Whether anybody publishes colour images."""
        return any(self._node.count_publishers(subscription.topic) for subscription in self.colour)

    def close(self) -> None:
        """Ends the subscriptions."""
        for subscription in (*self.depth, *self.colour):
            subscription.close()
        for info in self._infos:
            self._node.destroy_subscription(info)
