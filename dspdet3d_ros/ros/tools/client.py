"""The detector node as a process of its own, and a client that sends it clouds, for the demo and for long runs."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.task import Future
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.message_contents import to_detections
from dspdet3d_ros.msg import PruningStats
from dspdet3d_ros.ros.interface.fastdds import PROFILE_VARIABLES, profile_file
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.interface.qos import OUTPUT
from dspdet3d_ros.ros.interface.topics import DETECTIONS, INPUT, STATS
from dspdet3d_ros.ros.parameters.table import NODE_NAME

FAILED = "cannot be configured: "
REMARK = re.compile(r"doubtful (?:cloud|boxes) \((\w+), \d+ so far\): (.*)")
# A cloud that was sent before both sides knew each other may be lost: it is sent again.
RESEND_S = 10.0
END_S = 15.0
FRAME_ID = "map"


class ClientError(RuntimeError):
    """An expected message or answer did not arrive; the text is one line."""


def exit_status(program: str, work: Callable[[], None]) -> int:
    """Runs a demo; 1 and one line for an expected failure, 130 after an interrupt.

    SIGTERM interrupts as Ctrl-C does: however the demo is ended, it takes the processes of its nodes with it.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        work()
    except (ClientError, InputError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def isolate() -> None:
    """Keeps this process and those it starts apart from all other ROS nodes, and lets large clouds through.

    To be called before the first context is initialised.
    """
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    # The same for Humble.
    os.environ["ROS_LOCALHOST_ONLY"] = "1"
    profile = profile_file()
    if profile is not None and not any(name in os.environ for name in PROFILE_VARIABLES):
        os.environ.update(dict.fromkeys(PROFILE_VARIABLES, str(profile)))


class NodeProcess:
    """A node in a process of its own.

    Args:
        namespace: its namespace.
        parameters: "name:=value" as on a ROS command line.
        log: file that takes what it writes.
        node: module of the node in `dspdet3d_ros.ros`.
        remappings: "from:=to" as on a ROS command line.
    """

    def __init__(
        self,
        namespace: str,
        parameters: Sequence[str],
        log: Path,
        node: str = "detector_node",
        remappings: Sequence[str] = (),
    ) -> None:
        arguments = ["--ros-args", "-r", f"__ns:={namespace}"]
        for remapping in remappings:
            arguments += ["-r", remapping]
        for parameter in parameters:
            arguments += ["-p", parameter]
        self._log, self._name = log, node.replace("_", " ")
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"dspdet3d_ros.ros.{node}", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def check(self) -> None:
        """Checks that an answer can still be expected.

        Raises:
            ClientError: the process has ended, or could not be configured.
        """
        lines = self._log.read_text(errors="replace").splitlines()
        failure = next((line.split(FAILED, 1)[1] for line in lines if FAILED in line), None)
        if failure is not None:
            raise ClientError(f"the {self._name} cannot be configured: {failure}")
        status = self._process.poll()
        if status is not None:
            last = lines[-1] if lines else "nothing was logged"
            raise ClientError(f"the {self._name} ended with status {status}: {last}")

    def remarks(self) -> list[Remark]:
        """The remarks on clouds that the node has logged."""
        return [Remark(*found) for found in REMARK.findall(self._log.read_text(errors="replace"))]

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ends the process, as Ctrl-C does; returns its exit status, or that of a kill if it does not end in time."""
        if self._process.poll() is None:
            self._process.send_signal(number)
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
        self._node = rclpy.create_node("client", namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        name = f"{namespace}/{NODE_NAME}"
        self.cloud_topic = f"{name}/{INPUT}"
        self._cloud = self._node.create_publisher(PointCloud2, self.cloud_topic, OUTPUT)
        self._arrays: dict[tuple[int, int], Detection3DArray] = {}
        self._stats: dict[tuple[int, int], PruningStats] = {}
        self._node.create_subscription(Detection3DArray, f"{name}/{DETECTIONS}", self._take_array, 10)
        self._node.create_subscription(PruningStats, f"{name}/{STATS}", self._take_stats, 10)
        self._services: dict[type, Any] = {
            kind: self._node.create_client(kind, f"{name}/{service}")
            for service, kind in (
                ("get_state", GetState),
                ("change_state", ChangeState),
                ("set_parameters", SetParameters),
            )
        }
        self.on_stats: Callable[[PruningStats], None] | None = None

    def close(self) -> None:
        """Leaves ROS."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def wait_until_there(self, what: str = "the detector node") -> None:
        """Waits until the node's services are known, whether it answers already or not.

        Args:
            what: that is waited for, as the error says it.

        Raises:
            ClientError: they are not.
        """
        self._wait(self._services[GetState].service_is_ready, what)

    def wait_until_active(self) -> None:
        """Waits until the node takes clouds.

        Raises:
            ClientError: it does not.
        """
        what = "the detector node to become active"
        self.wait_until_there(what)
        end = time.monotonic() + self._timeout_s
        while self.state() != "active":
            self._process.check()
            if time.monotonic() > end:
                raise ClientError(f"waited {self._timeout_s:.0f} s for {what}")
            self.wait_for(lambda: False, 0.1)
        self._wait(self._cloud.get_subscription_count, "the node's subscription of clouds")

    def call(self, kind: Any, request: Any) -> Any:
        """The answer of one of the node's services: GetState, ChangeState or SetParameters.

        Raises:
            ClientError: none came.
        """
        client = self._services[kind]
        what = f"the node's service {client.srv_name.rsplit('/', 1)[-1]}"
        self._wait(client.service_is_ready, what)
        future: Future = client.call_async(request)
        self._wait(future.done, what)
        return future.result()

    def state(self) -> str:
        """The node's lifecycle state, such as "active"."""
        return self.call(GetState, GetState.Request()).current_state.label

    def change_state(self, transition: int) -> None:
        """Triggers a transition, a constant of lifecycle_msgs/msg/Transition.

        Raises:
            ClientError: it failed.
        """
        if not self.call(ChangeState, ChangeState.Request(transition=Transition(id=transition))).success:
            raise ClientError(f"the node's transition {transition} failed in state {self.state()}")

    def set_parameters(self, **values: Any) -> list[SetParametersResult]:
        """Sets parameters of the running node, one by one, as `ros2 param set` does."""
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        return self.call(SetParameters, SetParameters.Request(parameters=parameters)).results

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

    def now(self) -> Time:
        """The present time, as a stamp."""
        return self._node.get_clock().now().to_msg()

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

    def wait_for(self, condition: Callable[[], object], timeout_s: float) -> bool:
        """Takes messages until the condition holds; False if it does not within the time."""
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.05)
        return True

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + self._timeout_s
        while not self.wait_for(condition, 0.5):
            self._process.check()
            if time.monotonic() > end:
                raise ClientError(f"waited {self._timeout_s:.0f} s for {what}")
