"""The lifecycle that the nodes share: start by themselves, report failed transitions, diagnose missing output."""

import traceback
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from dspdet3d_ros.errors import InputError, missing_package, one_line
from dspdet3d_ros.ros.faults import Fault, FaultLog
from dspdet3d_ros.ros.health import no_output
from dspdet3d_ros.ros.health.diagnostics import PERIOD_S, Diagnostics
from dspdet3d_ros.ros.process import LAST_CLOUD_S

WATCH_S = 0.2
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


class ManagedNode(LifecycleNode):
    """A lifecycle node that works on messages in a thread of its own.

    A node defines `load`, `start`, `stop`, `release`, `watch`, `explain`, `describe` and `close`, and calls `begin` at
    the end of its constructor.

    Args:
        name: of the node.
        purpose: what the node does, to follow "cannot be used: ", where a package is missing.
        of: name of its inputs, in the plural.
        node_arguments: of rclpy's node.

    Attributes:
        faults: of the inputs and of the node itself.
        no_output: why nothing is published.
        failed: whether the worker has failed; the next transition leads to `on_error`.
    """

    def __init__(self, name: str, purpose: str, of: str = "clouds", **node_arguments: Any) -> None:
        super().__init__(name, **node_arguments)
        self._purpose = purpose
        self.failed = False
        self.faults = FaultLog(self.get_logger(), of=of)
        self.no_output = no_output.NoOutputDiagnosis(self.get_logger())

    def begin(self, autostart: bool) -> None:
        """Starts diagnostics and watch; with `autostart` the node then configures and activates itself."""
        self.diagnostics = Diagnostics(self, self.describe)
        # Steady time: these timers run even if ROS time stands still, as in a paused bag.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(PERIOD_S, self.diagnostics.publish, clock=steady)
        self.create_timer(WATCH_S, self.watch, clock=steady)
        self.create_timer(no_output.PERIOD_S, lambda: self.no_output.update(self.explain()), clock=steady)
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jumps = self.get_clock().create_jump_callback(back, post_callback=lambda _: self.time_set_back())
        if autostart:
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=steady)

    @property
    def lost(self) -> Fault | None:
        """The fault after which this process cannot compute any more; None if there is none."""
        return None

    @property
    def state_label(self) -> str:
        """The lifecycle state."""
        # rclpy has no public access to the state of a Python node.
        return self._state_machine.current_state[1]

    @property
    def status(self) -> DiagnosticStatus:
        """The present health, as on /diagnostics."""
        return self.diagnostics.status()

    def load(self) -> None:
        """Gets ready, for `configure`. May raise anything; `release` is called then."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts to take messages, for `activate`. May raise anything; `stop` is called then."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stops taking messages; nothing that was taken before is published any more."""
        raise NotImplementedError

    def release(self, wait_s: float = LAST_CLOUD_S) -> None:
        """Stops and frees everything; work that goes on after `wait_s` is not waited for."""
        raise NotImplementedError

    def watch(self) -> None:
        """Called every `WATCH_S`."""

    def time_set_back(self) -> None:
        """Called if the node's time jumps back."""

    def explain(self) -> Fault | None:
        """Why nothing is published, or None."""
        raise NotImplementedError

    def describe(self) -> DiagnosticStatus:
        """Makes the present status for the diagnostics."""
        raise NotImplementedError

    def close(self, timeout_s: float) -> bool:
        """Ends the work, as the process ends; False if it goes on after `timeout_s`."""
        raise NotImplementedError

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Gets ready. The log has the reason of a failure; the node can then be configured again."""
        self.faults.restart()
        try:
            self.load()
        except Exception as error:
            # Drivers and libraries raise errors of many types. None of them may end the node.
            self.release()
            return self._refused("configuration", error)
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts taking messages."""
        self.faults.restart()
        result = super().on_activate(state)
        try:
            self.start()
        except Exception as error:
            # rclpy would not log the reason.
            self.stop()
            super().on_deactivate(state)
            return self._refused("activation", error)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops taking messages."""
        self.stop()
        return ERROR if self.failed else super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything."""
        if self.failed:
            return ERROR
        self.release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything."""
        self.release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything; the node is unconfigured then, and can be configured again."""
        self.failed = False
        self.release(wait_s=0.0)
        return SUCCESS

    def fail(self, text: str) -> None:
        """Leads to the state unconfigured by the error path, with a fault of kind "worker"."""
        self.failed = True
        fault = Fault("worker", text)
        self.faults.report(fault)
        self.diagnostics.publish()
        # Both transitions return ERROR, so rclpy calls on_error and the node becomes unconfigured.
        if self.state_label == "active":
            self.trigger_deactivate()
        else:
            self.trigger_cleanup()
        self.faults.keep(fault)

    def end_process(self, fault: Fault) -> None:
        """Ends ROS in this process, because nothing can be computed in it any more."""
        self.get_logger().fatal(str(fault))
        self.diagnostics.publish_last()
        self.context.try_shutdown()

    def _autostart(self) -> None:
        self.destroy_timer(self._autostart_timer)
        succeeded = self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS
        if not succeeded and self.context.ok():
            how = no_output.how_to_activate(self.get_fully_qualified_name(), self.state_label)
            self.get_logger().error(f"not started; fix the error above: {how}")

    def _refused(self, kind: str, error: Exception) -> TransitionCallbackReturn:
        """Reports why a transition fails; after the end of ROS every transition fails, so nothing is reported."""
        if not self.context.ok():
            return FAILURE
        if isinstance(error, ModuleNotFoundError) and error.name:
            error = missing_package(self._purpose, error.name)
        known = isinstance(error, InputError)
        fault = Fault(kind, str(error) if known else one_line(error))
        self.faults.keep(fault)
        self.get_logger().error(str(fault) if known else f"{fault}\n{traceback.format_exc()}")
        return FAILURE
