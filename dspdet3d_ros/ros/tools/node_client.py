"""A node as a process of its own, and a client of its services, for the demos and for long runs."""

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
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.task import Future

from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.interface.fastdds import PROFILE_VARIABLES, profile_file

FAILED = "cannot be configured: "
REMARK = re.compile(r"doubtful (?:cloud|boxes) \((\w+), \d+ so far\): (.*)")
# A node whose shutdown hangs ends itself before; see `signals.HANGS_S`.
END_S = 30.0
AGAIN_S = 10.0
#: Services that every managed node has.
SERVICES = {GetState: "get_state", ChangeState: "change_state", SetParameters: "set_parameters"}


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

    Attributes:
        name: as texts say it, such as "detector node".
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
        self._log, self.name = log, node.replace("_", " ")
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
            raise ClientError(f"the {self.name} cannot be configured: {failure}")
        status = self._process.poll()
        if status is not None:
            last = lines[-1] if lines else "nothing was logged"
            raise ClientError(f"the {self.name} ended with status {status}: {last}")

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


def spin_until(executor: Executor, condition: Callable[[], object], timeout_s: float) -> bool:
    """Spins an executor until the condition holds; False if it does not within the time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        executor.spin_once(timeout_sec=0.05)
    return True


class NodeClient:
    """Calls the services of a node.

    Args:
        process: the node's process.
        namespace: its namespace.
        node_name: its name.
        timeout_s: how long to wait for anything.
    """

    def __init__(self, process: NodeProcess, namespace: str, node_name: str, timeout_s: float) -> None:
        self._process, self._timeout_s = process, timeout_s
        self.name = f"{namespace}/{node_name}"
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self._node = rclpy.create_node("client", namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._services: dict[str, Any] = {}
        for kind, service in SERVICES.items():
            self.service(kind, service)

    def close(self) -> None:
        """Leaves ROS."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def service(self, kind: Any, name: str) -> Any:
        """The client of one of the node's services."""
        if name not in self._services:
            self._services[name] = self._node.create_client(kind, f"{self.name}/{name}")
        return self._services[name]

    def subscribe(self, kind: Any, name: str, take: Callable[[Any], None], profile: Any = 10) -> None:
        """Takes the messages of one of the node's topics."""
        self._node.create_subscription(kind, f"{self.name}/{name}", take, profile)

    def wait_until_there(self, what: str = "the node") -> None:
        """Waits until the node's services are known, whether it answers already or not.

        Args:
            what: that is waited for, as the error says it.

        Raises:
            ClientError: they are not.
        """
        self._wait(self._services["get_state"].service_is_ready, what)

    def wait_until_active(self) -> None:
        """Waits until the node is active.

        Raises:
            ClientError: it is not in time.
        """
        what = f"the {self._process.name} to become active"
        self.wait_until_there(what)
        end = time.monotonic() + self._timeout_s
        while self.state() != "active":
            self._process.check()
            if time.monotonic() > end:
                raise ClientError(f"waited {self._timeout_s:.0f} s for {what}")
            self.wait_for(lambda: False, 0.1)

    def call(self, kind: Any, request: Any, name: str = "", repeat: bool = True) -> Any:
        """The answer of one of the node's services.

        Args:
            kind: type of the service.
            request: as it asks for.
            name: of the service; not needed for `SERVICES`.
            repeat: ask again after a while; a node that does not know this client yet sends no answer.

        Raises:
            ClientError: none came.
        """
        client = self.service(kind, name or SERVICES[kind])
        what = f"the node's service {client.srv_name.rsplit('/', 1)[-1]}"
        self._wait(client.service_is_ready, what)
        answers: list[Future] = []
        again_s = 0.0

        def answered() -> bool:
            nonlocal again_s
            if (repeat or not answers) and time.monotonic() >= again_s:
                answers.append(client.call_async(request))
                again_s = time.monotonic() + AGAIN_S
            return any(answer.done() for answer in answers)

        self._wait(answered, what)
        return next(answer.result() for answer in answers if answer.done())

    def state(self) -> str:
        """The node's lifecycle state, such as "active"."""
        return self.call(GetState, GetState.Request()).current_state.label

    def change_state(self, transition: int) -> None:
        """Triggers a transition, a constant of lifecycle_msgs/msg/Transition.

        Raises:
            ClientError: it failed.
        """
        request = ChangeState.Request(transition=Transition(id=transition))
        if not self.call(ChangeState, request, repeat=False).success:
            raise ClientError(f"the node's transition {transition} failed in state {self.state()}")

    def set_parameters(self, **values: Any) -> list[SetParametersResult]:
        """Sets parameters of the running node, one by one, as `ros2 param set` does."""
        parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        return self.call(SetParameters, SetParameters.Request(parameters=parameters)).results

    def now(self) -> Time:
        """The present time, as a stamp."""
        return self._node.get_clock().now().to_msg()

    def wait_for(self, condition: Callable[[], object], timeout_s: float) -> bool:
        """Takes messages until the condition holds; False if it does not within the time."""
        return spin_until(self._executor, condition, timeout_s)

    def _wait(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + self._timeout_s
        while not self.wait_for(condition, 0.5):
            self._process.check()
            if time.monotonic() > end:
                raise ClientError(f"waited {self._timeout_s:.0f} s for {what}")
