"""The detector node in a process of its own, and a node of the test that talks to it."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from limits import AGAIN_S, WAIT_S
from node_topics import OUTPUTS
from own_domain import DOMAIN
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import PointCloud2
from service_caller import ServiceCaller

from dspdet3d_ros.ros.interface.outputs import RESULTS
from dspdet3d_ros.ros.interface.topics import INPUT
from dspdet3d_ros.ros.tools.shared_memory import SHARED_MEMORY, left_over, segments

NODE = [sys.executable, "-m", "dspdet3d_ros.ros.detector_node"]
ACCUMULATOR = [sys.executable, "-m", "dspdet3d_ros.ros.accumulator_node"]
# The same node with levers for faults that no message can cause.
FAULTY_NODE = [sys.executable, str(Path(__file__).with_name("faulty_node.py"))]


def values_of(status):
    """The values of a status of the diagnostics, by name."""
    return {value.key: value.value for value in status.values}


class Process:
    """The node's process and the lines it has written."""

    def __init__(self, tiny, command=NODE, namespace="/", environment=None, cwd=None, **parameters):
        model = {} if tiny is None else {"model": tiny.model, "checkpoint": tiny.checkpoint}
        values = {**model, "device": "cpu", **parameters}
        arguments = [a for name, value in values.items() for a in ("-p", f"{name}:={value}")]
        arguments += ["-r", f"__ns:={namespace}", "--log-level", "dspdet3d:=debug"]
        base = dict(os.environ) if environment is None else environment
        self.process = subprocess.Popen(
            [*command, "--ros-args", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            # Threads that spin while they wait make nodes on one machine several times slower.
            env={
                "OMP_WAIT_POLICY": "PASSIVE",
                **base,
                "ROS_DOMAIN_ID": str(DOMAIN),
                "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            },
        )
        self.lines, self._new = [], queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self._new.put(line)

    def wait_for(self, text):
        """Waits for a line with this text in the log."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            try:
                self.lines.append(self._new.get(timeout=0.1))
            except queue.Empty:
                continue
            if text in self.lines[-1]:
                return self.lines[-1]
        raise AssertionError(f"no '{text}' in:\n{''.join(self.lines)}")

    def wait_until_logged(self, text):
        """A line with this text, which may have been written before an earlier wait."""
        return next((line for line in self.lines if text in line), None) or self.wait_for(text)

    def has(self, text):
        """Whether a new line of the log has this text."""
        new = [self._new.get() for _ in range(self._new.qsize())]
        self.lines += new
        return any(text in line for line in new)

    def pull(self, lever):
        """Pulls a lever of the faulty node and waits until it has been pulled."""
        self.process.stdin.write(f"{lever}\n")
        self.process.stdin.flush()
        self.wait_for(f"pulled {lever}")

    def end(self, number=None):
        """Sends a signal, if any; returns the exit status and all that was written."""
        if number is not None:
            self.process.send_signal(number)
        status = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        while not self._new.empty():
            self.lines.append(self._new.get())
        return status, "".join(self.lines)

    def close(self):
        """Ends it as an operator does; one that does not end is killed, without what it holds in shared memory."""
        if self.process.poll() is not None:
            return
        held = segments(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            for name in left_over(held):
                (SHARED_MEMORY / name).unlink(missing_ok=True)
            raise AssertionError(f"SIGINT did not end the node within {WAIT_S} s") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Remote(ServiceCaller):
    """The test's own node: sends clouds, takes results and diagnostics, calls services.

    `profile` is that of its publisher of clouds; None: it has none.
    """

    def __init__(self, name="/dspdet3d", outputs=tuple(OUTPUTS), profile=10):
        self.name, self.received, self.health = name, {output: [] for output in outputs}, []
        self._context = Context()
        before = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE")
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        try:
            rclpy.init(context=self._context, domain_id=DOMAIN)
            self.node = self.caller = rclpy.create_node("peer", context=self._context)
        finally:
            if before is not None:
                os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = before
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.input = None if profile is None else self.node.create_publisher(PointCloud2, f"{name}/{INPUT}", profile)
        for output, messages in self.received.items():
            self.node.create_subscription(RESULTS[output], f"{name}/{output}", messages.append, 10)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._take_health, 10)

    def _take_health(self, array):
        self.health += [status for status in array.status if status.name.startswith(f"{self.name}:")]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Leaves ROS."""
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def until(self, condition, what):
        """Spins until a condition holds, which must come."""
        assert self.spin_until(condition), f"waited for {what}"

    def connect(self):
        """Waits until the node is active and both sides know each other."""
        self.until(self.input.get_subscription_count, "the node's subscription")
        self.be_known()

    def be_known(self):
        """Waits until the node knows this consumer: one that it sees after an answer gets that answer again."""
        topics = {output: f"{self.name}/{output}" for output in self.received}
        for topic in topics.values():
            self.until(lambda topic=topic: self.node.count_publishers(topic), topic)
        self.health.clear()

        def known():
            numbers = [f"{output}: {self.node.count_subscribers(topic)}" for output, topic in topics.items()]
            # The node has looked at its subscribers between two of its diagnostics.
            return len(self.health) > 1 and all(n in self.values()["subscribers"].split(", ") for n in numbers)

        self.until(known, "the node to know its subscribers")

    def ask(self, message):
        """Publishes a cloud, and returns the answers to it."""
        before = {output: len(messages) for output, messages in self.received.items()}

        def answered():
            return all(len(messages) > before[output] for output, messages in self.received.items())

        self.send(message, answered, "an answer")
        return [messages[-1] for messages in self.received.values()]

    def send(self, message, condition, what, publisher=None):
        """Publishes a cloud and waits for a condition; publishes it again where it was lost on its way.

        A message is lost that is sent before both sides know each other, of which a publisher knows only its own half.
        """

        came = False

        def arrived():
            nonlocal came
            came = came or bool(condition())
            return came

        def lost():
            # While a cloud is being worked on, it waits too.
            return self.values().get("clouds_waiting") == "0"

        end = time.monotonic() + WAIT_S
        while not came:
            assert time.monotonic() < end, f"waited for {what}"
            (publisher or self.input).publish(message)
            if not self.spin_until(arrived, AGAIN_S):
                seen = len(self.health)
                self.until(lambda seen=seen: arrived() or (len(self.health) > seen and lost()), what)

    def provoke(self, message, level, text):
        """Publishes a bad cloud until the diagnostics have a level and text; returns their values then."""
        self.health.clear()
        self.send(message, lambda: self._said(level, text), f"diagnostics {level} with '{text}'")
        return values_of(self._said(level, text))

    def healthy(self, level, text=""):
        """Waits for a status of a level with a text, and returns its values."""
        self.health.clear()
        found = self.spin_until(lambda: self._said(level, text))
        assert found, f"waited for diagnostics {level} with '{text}', not {self.health[-1:]}"
        return values_of(self._said(level, text))

    def _said(self, level, text):
        """The latest status of a level with a text, if any."""
        fitting = (one for one in reversed(self.health) if one.level == bytes([level]) and text in one.message)
        return next(fitting, None)

    def values(self):
        """The values of the latest diagnostics."""
        return values_of(self.health[-1]) if self.health else {}
