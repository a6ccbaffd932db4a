"""The detector node and a node of the test in one process."""

import threading

import rclpy
from limits import WAIT_S
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from service_caller import ServiceCaller

from dspdet3d_ros.ros.detector_node import DetectorNode


class Bench(ServiceCaller):
    """A detector node on a thread of its own, and a node of the test."""

    def __init__(self):
        self.context = Context()
        rclpy.init(context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.own_executor = SingleThreadedExecutor(context=self.context)
        self.peer = self.caller = rclpy.create_node("peer", context=self.context)
        self.name = "/dspdet3d"
        self.own_executor.add_node(self.peer)
        self.node = None
        self._thread = None

    def start(self, cli_args=(), **parameters):
        """Starts the detector node with these parameters."""
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = DetectorNode(context=self.context, parameter_overrides=overrides, cli_args=list(cli_args))
        self.executor.add_node(self.node)
        self._thread = threading.Thread(target=self.executor.spin, daemon=True)
        self._thread.start()
        return self.node

    def spin_for(self, seconds):
        """Gives messages that should not come the time to come."""
        self.spin_until(lambda: False, seconds)

    def wait_for_state(self, label):
        """Whether the node comes into a state. No service is asked: see `ServiceCaller`."""
        return self.spin_until(lambda: self.node.state_label == label)

    def figures(self):
        """The node's values on /diagnostics, as they are now."""
        return {value.key: value.value for value in self.node.status.values}

    def close(self):
        """Ends everything."""
        self.executor.shutdown()
        if self._thread:
            self._thread.join(WAIT_S)
        if self.node:
            assert self.node.close(WAIT_S)
            self.node.destroy_node()
        self.own_executor.shutdown()
        self.peer.destroy_node()
        self.context.try_shutdown()
