"""The test's own end of the detector node's topics, and a gate that holds the detector up."""

import threading

import numpy as np
from builtin_interfaces.msg import Time
from dspdet3d_ros.msg import PruningStats
from limits import WAIT_S
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.ros.interface.topics import DETECTIONS, INPUT, MARKERS, STATS

OUTPUTS = {DETECTIONS: Detection3DArray, MARKERS: MarkerArray, STATS: PruningStats}
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
HEADER = Header(stamp=Time(sec=7, nanosec=8), frame_id="map")


class Topics:
    """The test's publisher of clouds and its subscriptions of the node's outputs."""

    def __init__(self, bench, listen=True):
        self.bench = bench
        self.input = bench.peer.create_publisher(PointCloud2, f"/dspdet3d/{INPUT}", 10)
        self.received = {name: [] for name in OUTPUTS}
        if listen:
            self.listen()
        assert bench.spin_until(self.input.get_subscription_count)

    def listen(self):
        for name, kind in OUTPUTS.items():
            self.bench.peer.create_subscription(kind, f"/dspdet3d/{name}", self.received[name].append, 10)
        # A consumer that the node sees after an answer gets that answer again.
        assert self.bench.spin_until(lambda: all(self.bench.node.subscribers.get(name) for name in OUTPUTS))

    def wait_for(self, count):
        return self.bench.spin_until(lambda: all(len(messages) >= count for messages in self.received.values()))

    def ask(self, message):
        """Publishes a cloud and returns the answers to it."""
        before = len(self.received[STATS])
        self.input.publish(message)
        assert self.wait_for(before + 1)
        return [self.received[name][-1] for name in OUTPUTS]


class LogLines:
    """The log of the nodes so far."""

    def __init__(self, capfd):
        self._capfd, self.text = capfd, ""

    def has(self, text):
        self.text += self._capfd.readouterr().err
        return text in self.text


class Gate:
    """Holds the real detector up until a test opens it."""

    def __init__(self, monkeypatch):
        self.started, self.passes = threading.Semaphore(0), threading.Semaphore(0)
        real = Detector.__call__

        def gated(detector, xyz, settings):
            self.started.release()
            assert self.passes.acquire(timeout=WAIT_S)
            return real(detector, xyz, settings)

        monkeypatch.setattr(Detector, "__call__", gated)

    def wait(self):
        assert self.started.acquire(timeout=WAIT_S)

    def open(self, times=1):
        for _ in range(times):
            self.passes.release()


def boxes_of(array):
    return np.array(
        [
            [*(getattr(d.bbox.center.position, a) for a in "xyz"), *(getattr(d.bbox.size, a) for a in "xyz")]
            for d in array.detections
        ]
    )
