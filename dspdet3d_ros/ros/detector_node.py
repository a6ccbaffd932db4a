"""The detector as a lifecycle node: clouds in, boxes out. Only wiring.

README.md describes the topics, docs/parameters.md the parameters.
"""

import sys
import traceback
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from dspdet3d_ros.errors import InputError, missing_package, one_line
from dspdet3d_ros.ros import signals
from dspdet3d_ros.ros.faults import Fault, FaultLog
from dspdet3d_ros.ros.health import no_output
from dspdet3d_ros.ros.health.diagnostics import PERIOD_S, Diagnostics, Health
from dspdet3d_ros.ros.health.graph import node_snapshot
from dspdet3d_ros.ros.interface import qos
from dspdet3d_ros.ros.interface.outputs import Outputs
from dspdet3d_ros.ros.interface.subscription import CloudSubscription
from dspdet3d_ros.ros.interface.topics import COLLISION_OBJECTS, INPUT, OBJECT_POINTS
from dspdet3d_ros.ros.parameters.node_parameters import NodeParameters
from dspdet3d_ros.ros.parameters.table import NODE_NAME
from dspdet3d_ros.ros.pipeline.detect_service import DetectService
from dspdet3d_ros.ros.pipeline.frames import TargetFrame
from dspdet3d_ros.ros.pipeline.pipeline import Pipeline, free_gpu_memory
from dspdet3d_ros.ros.pipeline.processing import Processing
from dspdet3d_ros.ros.process import LAST_CLOUD_S, run
from dspdet3d_ros.system import torch_threads

if TYPE_CHECKING:
    from dspdet3d_ros.detector.predictor import Detector

WATCH_S = 0.2
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


class DetectorNode(LifecycleNode):
    """Runs the detector on the latest cloud of ~/input/points and publishes what it finds.

    `configure` loads the model, and all callbacks wait meanwhile; `cleanup` frees it. The node takes clouds only while
    it is active. A thread of its own processes them, so that parameters and services answer at any time.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__(NODE_NAME, **node_arguments)
        self._detector: Detector | None = None
        self._processing: Processing | None = None
        self._subscription: CloudSubscription | None = None
        self._failed = False
        self._faults = FaultLog(self.get_logger())
        self._no_output = no_output.NoOutputDiagnosis(self.get_logger())
        self._node_parameters = NodeParameters(self, lambda: self._detector is None, self._publish_labels)
        self._diagnostics = Diagnostics(self, self._health)
        self._service = DetectService(self, lambda: self._processing if self._subscription else None, self._why_not)
        # Steady time: these timers run even if ROS time stands still, as in a paused bag.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(PERIOD_S, self._diagnostics.publish, clock=steady)
        self.create_timer(WATCH_S, self._watch, clock=steady)
        self.create_timer(no_output.PERIOD_S, self._diagnose_no_output, clock=steady)
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jumps = self.get_clock().create_jump_callback(back, post_callback=self._on_time_set_back)
        if self._node_parameters["autostart"]:
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=steady)

    @property
    def lost(self) -> Fault | None:
        """The fault after which this process cannot compute any more; None if there is none."""
        return self._processing.lost if self._processing else None

    @property
    def subscribers(self) -> dict[str, int]:
        """The number of subscribers of each output that the node knows of; empty unless it is configured."""
        return self._processing.outputs.subscribers if self._processing else {}

    @property
    def status(self) -> DiagnosticStatus:
        """The present health, as on /diagnostics."""
        return self._diagnostics.status()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the model. The log has the reason of a failure; the node can then be configured again."""
        self._faults.restart()
        try:
            self._load()
        except Exception as error:
            # Drivers and libraries raise errors of many types. None of them may end the node.
            self._release()
            return self._refused("configuration", error)
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts taking clouds."""
        self._faults.restart()
        result = super().on_activate(state)
        try:
            self._take_clouds()
        except Exception as error:
            # rclpy would not log the reason.
            self._stop_taking_clouds()
            super().on_deactivate(state)
            return self._refused("activation", error)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops taking clouds; results of earlier clouds are not published any more."""
        self._stop_taking_clouds()
        return ERROR if self._failed else super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees the model."""
        if self._failed:
            return ERROR
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything."""
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything; the node is unconfigured then, and can be configured again."""
        self._failed = False
        self._release(wait_s=0.0)
        return SUCCESS

    def close(self, timeout_s: float) -> bool:
        """Stops the work on clouds.

        Returns:
            False if a cloud is still being processed after `timeout_s`.
        """
        self._stop_taking_clouds()
        return self._processing is None or self._processing.worker.stop(timeout_s)

    def _autostart(self) -> None:
        self.destroy_timer(self._autostart_timer)
        succeeded = self.trigger_configure() == SUCCESS and self.trigger_activate() == SUCCESS
        if not succeeded and self.context.ok():
            how = no_output.how_to_activate(self.get_fully_qualified_name(), self._state_label())
            self.get_logger().error(f"not started; fix the error above: {how}")

    def _load(self) -> None:
        parameters = self._node_parameters
        parameters.check()
        threads = parameters["threads"] or None
        with signals.interruptible("the model was being loaded"):
            detector = self._loaded(threads)
        own = detector.default_settings()
        values = {name: getattr(own, name) for name in ("pruning_threshold", "score_threshold", "nms_iou_threshold")}
        parameters.apply_model_defaults({**values, "recenter": detector.recenter}, detector.class_names)
        self._detector = detector
        frame = parameters["target_frame"]
        target = TargetFrame(self, frame, parameters["tf_timeout_s"]) if frame else None
        outputs = Outputs(self, detector.model_name, detector.class_names)
        pipeline = Pipeline(
            detector,
            lambda: parameters.settings,
            target,
            wants_objects=lambda: outputs.wants(OBJECT_POINTS),
            remark=self._faults.remark,
            threads=threads,
            wants_scene=lambda: outputs.wants(COLLISION_OBJECTS),
        )
        self._processing = Processing(pipeline, outputs, self._faults, target, self.get_logger())
        self.get_logger().info(
            f"configured: model {detector.model_name} with {len(detector.class_names)} classes, "
            f"weights {detector.checkpoint_sha256[:12]}, on {detector.device}, backend {detector.backend}"
            f"{_reason(parameters['backend'], detector)}, {_cpu_threads(threads)}"
        )
        if parameters["backend"] == "auto" and detector.device.startswith("cuda") and detector.backend == "torch":
            self.get_logger().warning(f"plain torch computes, which is slower{_reason('auto', detector)}")

    def _loaded(self, threads: int | None) -> "Detector":
        # The import of torch takes seconds; before it the node already answers services.
        from dspdet3d_ros.detector.predictor import Detector

        parameters = self._node_parameters
        detector = Detector.load(
            model=parameters["model"],
            checkpoint=parameters["checkpoint"] or None,
            device=parameters["device"],
            backend=parameters["backend"],
            max_points=parameters["max_points"],
            max_voxels=parameters["max_voxels"],
            recenter=parameters.chosen("recenter"),
            precision=parameters["precision"],
        )
        with torch_threads(threads):
            detector.warm_up()
        return detector

    def _refused(self, kind: str, error: Exception) -> TransitionCallbackReturn:
        """Reports why a transition fails; after the end of ROS every transition fails, so nothing is reported."""
        if not self.context.ok():
            return FAILURE
        if isinstance(error, ModuleNotFoundError) and error.name:
            error = missing_package("the detector", error.name)
        known = isinstance(error, InputError)
        fault = Fault(kind, str(error) if known else one_line(error))
        self._faults.keep(fault)
        self.get_logger().error(str(fault) if known else f"{fault}\n{traceback.format_exc()}")
        return FAILURE

    def _take_clouds(self) -> None:
        self._publish_labels()
        processing, parameters = self._processing, self._node_parameters
        if processing is None:
            raise InputError("no model is loaded; configure the node first")
        processing.restart()
        self._subscription = CloudSubscription(
            self,
            f"~/{INPUT}",
            parameters["input_reliability"],
            parameters["input_durability"],
            processing.take,
            lambda number: processing.traffic.lost_more(number),
            lambda text: self._no_output.report(Fault("qos", text)),
        )
        self.get_logger().info(f"active: taking clouds from {self._subscription.topic} ({self._subscription.reason})")

    def _stop_taking_clouds(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        if self._processing is not None:
            self._processing.restart()
            if not self._failed:
                self._faults.restart()

    def _release(self, wait_s: float = LAST_CLOUD_S) -> None:
        """Frees the model; if it is still busy after `wait_s`, it is freed after its present cloud."""
        self._stop_taking_clouds()
        if self._processing is not None and not self._processing.close(wait_s):
            self.get_logger().warning("a cloud is still being processed; its result will not be published")
        self._processing = self._detector = None
        free_gpu_memory()
        self._node_parameters.forget_model()

    def _watch(self) -> None:
        """Checks for new subscribers, a dead or hanging worker (error processing) and a lost GPU (end of ROS)."""
        if self._processing is None:
            return
        if self.lost:
            self.get_logger().fatal(str(self.lost))
            self._diagnostics.publish_last()
            self.context.try_shutdown()
            return
        if self._subscription is not None:
            self._processing.look_for_consumers()
        else:
            # Subscribers from before the activation get each answer once.
            self._processing.outputs.newcomers()
        text = self._processing.failure(self._node_parameters["watchdog_timeout_s"])
        if text:
            self._failed = True
            fault = Fault("worker", text)
            self._faults.report(fault)
            self._diagnostics.publish()
            # Both transitions return ERROR, so rclpy calls on_error and the node becomes unconfigured.
            if self._state_label() == "active":
                self.trigger_deactivate()
            else:
                self.trigger_cleanup()
            self._faults.keep(fault)

    def _why_not(self) -> str:
        return no_output.how_to_activate(self.get_fully_qualified_name(), self._state_label())

    def _diagnose_no_output(self) -> None:
        """Updates the reason, for the log and the diagnostics, why nothing is published."""
        snapshot = node_snapshot(
            self,
            self._state_label(),
            self._faults.present is not None,
            self._processing,
            self._subscription,
            self._detector.device if self._detector else "",
        )
        self._no_output.update(no_output.explain(snapshot))

    def _on_time_set_back(self, _: Any) -> None:
        if self._processing is not None:
            self._processing.time_set_back()

    def _health(self) -> Health:
        tau = self._node_parameters.settings.pruning_threshold
        policies = qos.described(self._subscription.profile) if self._subscription else ""
        return Health(
            self._state_label(), self._faults, self._no_output, tau, self._detector, self._processing, policies
        )

    def _state_label(self) -> str:
        # rclpy has no public access to the state of a Python node.
        return self._state_machine.current_state[1]

    def _publish_labels(self) -> None:
        if self._processing is not None:
            self._processing.outputs.publish_labels(self._node_parameters.settings.score_threshold)


def _reason(asked: str, detector: "Detector") -> str:
    """Why the backend was chosen, in parentheses; empty if a parameter fixes it."""
    if asked != "auto":
        return ""
    from dspdet3d_ros.sparse import choose_backend

    return f" ({choose_backend(detector.device)[1]})"


def _cpu_threads(threads: int | None) -> str:
    """The number of CPU threads of the network, in words."""
    import torch

    number = threads or torch.get_num_threads()
    return f"{number} CPU thread{'s' if number > 1 else ''}"


def main(args: list[str] | None = None) -> int:
    """Runs the node; see `dspdet3d_ros.ros.process.run` for its exit status."""
    return run(DetectorNode, args)


if __name__ == "__main__":
    sys.exit(main())
