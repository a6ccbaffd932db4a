"""A client that sends clouds to the detector node and takes its answers, for the demo and for long runs."""

import time
from collections.abc import Callable

from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.message_contents import to_detections
from dspdet3d_ros.msg import PruningStats
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.qos import OUTPUT
from dspdet3d_ros.ros.interface.topics import DETECTIONS, INPUT, STATS
from dspdet3d_ros.ros.parameters.table import NODE_NAME
from dspdet3d_ros.ros.tools.node_client import ClientError, NodeClient, NodeProcess

# A cloud that was sent before both sides knew each other may be lost: it is sent again.
RESEND_S = 10.0
FRAME_ID = "map"


class Client(NodeClient):
    """Sends clouds to a detector node and takes its answers.

    Args:
        process: the node's process.
        namespace: its namespace.
        timeout_s: how long to wait for anything.
    """

    def __init__(self, process: NodeProcess, namespace: str, timeout_s: float) -> None:
        super().__init__(process, namespace, NODE_NAME, timeout_s)
        self.cloud_topic = f"{self.name}/{INPUT}"
        self._cloud = self._node.create_publisher(PointCloud2, self.cloud_topic, OUTPUT)
        self._arrays: dict[tuple[int, int], Detection3DArray] = {}
        self._stats: dict[tuple[int, int], PruningStats] = {}
        self.subscribe(Detection3DArray, DETECTIONS, self._take_array)
        self.subscribe(PruningStats, STATS, self._take_stats)
        self.on_stats: Callable[[PruningStats], None] | None = None

    def wait_until_active(self) -> None:
        """Waits until the node takes clouds.

        Raises:
            ClientError: it does not.
        """
        super().wait_until_active()
        self._wait(self._cloud.get_subscription_count, "the node's subscription of clouds")

    def set_pruning_threshold(self, tau: float) -> None:
        """Sets the parameter of the running node, as `ros2 param set` does.

        Raises:
            ClientError: the node refuses or does not answer.
        """
        (result,) = self.set_parameters(pruning_threshold=tau)
        if not result.successful:
            raise ClientError(f"pruning_threshold {tau} was refused: {result.reason}")

    def publish(self, message: PointCloud2) -> None:
        """Sends a cloud message as it is."""
        self._cloud.publish(message)

    def detect(self, cloud: PointCloud) -> tuple[Detections, Header]:
        """Publishes a cloud with the present time as its stamp and waits for the detections.

        Returns:
            The detections, and their header.

        Raises:
            ClientError: no answer came.
        """
        now = self.now()
        message = cloud_message(Header(stamp=now, frame_id=FRAME_ID), cloud.xyz, cloud.rgb)
        key = (now.sec, now.nanosec)
        self._arrays.clear()
        self._stats.clear()
        end = time.monotonic() + self._timeout_s
        while not (key in self._arrays and key in self._stats):
            if time.monotonic() > end:
                missing = "detections" if key not in self._arrays else "stats"
                raise ClientError(f"no {missing} arrived within {self._timeout_s:.0f} s of publishing the cloud")
            self._process.check()
            self._cloud.publish(message)
            self.wait_for(lambda: key in self._arrays and key in self._stats, RESEND_S)
        return to_detections(self._arrays[key], self._stats[key]), self._arrays[key].header

    def latency_ms(self, header: Header) -> float:
        """The node's own figure for an answered cloud: milliseconds from its arrival to its publication."""
        return self._stats[header.stamp.sec, header.stamp.nanosec].latency_ms

    def _take_array(self, message: Detection3DArray) -> None:
        if not self.on_stats:
            self._arrays[message.header.stamp.sec, message.header.stamp.nanosec] = message

    def _take_stats(self, message: PruningStats) -> None:
        # A run of hours must not keep what it has received.
        if self.on_stats:
            self.on_stats(message)
        else:
            self._stats[message.header.stamp.sec, message.header.stamp.nanosec] = message
