"""The demo's two ends: the detector node as a process of its own, and a client that sends it clouds."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import rclpy
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.task import Future
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dspdet3d_ros.clouds.cloud import Cloud
from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.msg import PruningStats
from dspdet3d_ros.ros.detector_node import NODE_NAME
from dspdet3d_ros.ros.messages import cloud_message, to_detections
from dspdet3d_ros.ros.qos import OUTPUT

PROFILE = "fastdds_large_clouds.xml"
# The variable's names in Kilted and before.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
FAILED = "cannot be configured: "
# A cloud that came before the node knew that somebody listens was not worked on: it is sent again.
RESEND_S = 10.0
END_S = 15.0
FRAME_ID = "map"


class DemoError(RuntimeError):
    """Something did not arrive; the text is one line."""


def isolate() -> None:
    """Keeps this process and those it starts apart from all other ROS nodes, and lets large clouds through.

    To be called before the first context is initialised.
    """
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    # The same for Humble.
    os.environ["ROS_LOCALHOST_ONLY"] = "1"
    profile = _profile()
    if profile is not None and not any(name in os.environ for name in PROFILE_VARIABLES):
        os.environ.update(dict.fromkeys(PROFILE_VARIABLES, str(profile)))


def _profile() -> Path | None:
    """The profile for large clouds: in the project's folder, or where the package is installed."""
    from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

    places = [Path(__file__).resolve().parents[2] / "config" / PROFILE]
    with contextlib.suppress(PackageNotFoundError):
        places.append(Path(get_package_share_directory("dspdet3d_ros")) / "config" / PROFILE)
    return next((place for place in places if place.is_file()), None)


class NodeProcess:
    """The detector node in a process of its own.

    Args:
        namespace: its namespace.
        parameters: "name:=value" as on a ROS command line.
        log: file that takes what it writes.
    """

    def __init__(self, namespace: str, parameters: Sequence[str], log: Path) -> None:
        arguments = ["--ros-args", "-r", f"__ns:={namespace}"]
        for parameter in parameters:
            arguments += ["-p", parameter]
        self._log = log
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dspdet3d_ros.ros.detector_node", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def check(self) -> None:
        """Finds out early that there will be no answer.

        Raises:
            DemoError: the process has ended, or could not be configured.
        """
        lines = self._log.read_text(errors="replace").splitlines()
        failure = next((line.split(FAILED, 1)[1] for line in lines if FAILED in line), None)
        if failure is not None:
            raise DemoError(f"the detector node cannot be configured: {failure}")
        status = self._process.poll()
        if status is not None:
            last = lines[-1] if lines else "nothing was logged"
            raise DemoError(f"the detector node ended with status {status}: {last}")

    def stop(self) -> int:
        """Ends the process as Ctrl-C does; its exit status, or that of a kill where it does not end in time."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Client:
    """Sends clouds to a detector node and takes its answers.

    Args:
        process: the node's process.
        namespace: its namespace.
        timeout_s: how long to wait for anything.
    """

    def __init__(self, process: NodeProcess, namespace: str, timeout_s: float) -> None:
        self._process, self._timeout_s = process, timeout_s
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self._node = rclpy.create_node("demo", namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        name = f"{namespace}/{NODE_NAME}"
        self._cloud = self._node.create_publisher(PointCloud2, f"{name}/input/points", OUTPUT)
        self._arrays: dict[tuple[int, int], Detection3DArray] = {}
        self._stats: dict[tuple[int, int], PruningStats] = {}
        self._node.create_subscription(Detection3DArray, f"{name}/output/detections", self._take_array, 10)
        self._node.create_subscription(PruningStats, f"{name}/output/stats", self._take_stats, 10)
        self._state = self._node.create_client(GetState, f"{name}/get_state")
        self._parameters = self._node.create_client(SetParameters, f"{name}/set_parameters")

    def close(self) -> None:
        """Leaves ROS."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def wait_until_active(self) -> None:
        """Waits until the node takes clouds.

        Raises:
            DemoError: it does not.
        """
        what = "the detector node to become active"
        self._wait(self._state.service_is_ready, what)
        end = time.monotonic() + self._timeout_s
        while True:
            future = self._state.call_async(GetState.Request())
            self._wait(future.done, what)
            if future.result().current_state.label == "active":
                break
            self._process.check()
            if time.monotonic() > end:
                raise DemoError(f"waited {self._timeout_s:.0f} s for {what}")
            self._wait_for(lambda: False, 0.1)
        self._wait(self._cloud.get_subscription_count, "the node's subscription of clouds")
        self._wait(self._parameters.service_is_ready, "the node's parameter service")

    def set_pruning_threshold(self, tau: float) -> None:
        """Sets the parameter of the running node, as `ros2 param set` does.

        Raises:
            DemoError: the node refuses or does not answer.
        """
        parameter = Parameter("pruning_threshold", value=tau).to_parameter_msg()
        future: Future = self._parameters.call_async(SetParameters.Request(parameters=[parameter]))
        self._wait(future.done, "the parameter service's answer")
        result = future.result().results[0]
        if not result.successful:
            raise DemoError(f"pruning_threshold {tau} was refused: {result.reason}")

    def detect(self, cloud: Cloud) -> tuple[Detections, Header]:
        """Publishes a cloud under the present time and waits for what is found in it.

        Returns:
            What was found, and the header it came with.

        Raises:
            DemoError: no answer came.
        """
        now = self._node.get_clock().now().to_msg()
        message = cloud_message(Header(stamp=now, frame_id=FRAME_ID), cloud.xyz, cloud.rgb)
        key = (now.sec, now.nanosec)
        end = time.monotonic() + self._timeout_s
        while not (key in self._arrays and key in self._stats):
            if time.monotonic() > end:
                missing = "detections" if key not in self._arrays else "stats"
                raise DemoError(f"no {missing} arrived within {self._timeout_s:.0f} s of publishing the cloud")
            self._process.check()
            self._cloud.publish(message)
            self._wait_for(lambda: key in self._arrays and key in self._stats, RESEND_S)
        return to_detections(self._arrays[key], self._stats[key]), self._arrays[key].header

    def latency_ms(self, header: Header) -> float:
        """What the node says of a cloud it has answered: milliseconds from its arrival to its publication."""
        return self._stats[header.stamp.sec, header.stamp.nanosec].latency_ms

    def _take_array(self, message: Detection3DArray) -> None:
        self._arrays[message.header.stamp.sec, message.header.stamp.nanosec] = message

    def _take_stats(self, message: PruningStats) -> None:
        self._stats[message.header.stamp.sec, message.header.stamp.nanosec] = message

    def _wait_for(self, condition: Callable[[], object], timeout_s: float) -> bool:
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.05)
        return True

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + self._timeout_s
        while not self._wait_for(condition, 0.5):
            self._process.check()
            if time.monotonic() > end:
                raise DemoError(f"waited {self._timeout_s:.0f} s for {what}")
