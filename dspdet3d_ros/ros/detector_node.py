"""The detector as a lifecycle node: clouds in, boxes out. Only wiring.

README.md describes the topics, docs/parameters.md the parameters.
"""

import sys
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import PointCloud2
from std_srvs.srv import Trigger

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros import signals
from dspdet3d_ros.ros.faults import Fault
from dspdet3d_ros.ros.health import no_output
from dspdet3d_ros.ros.health.diagnostics import Health, status_message
from dspdet3d_ros.ros.health.graph import node_snapshot
from dspdet3d_ros.ros.interface import qos
from dspdet3d_ros.ros.interface.outputs import Outputs
from dspdet3d_ros.ros.interface.subscription import InputSubscription
from dspdet3d_ros.ros.interface.topics import COLLISION_OBJECTS, INPUT, OBJECT_POINTS, RESET_TRACKING
from dspdet3d_ros.ros.managed_node import ManagedNode
from dspdet3d_ros.ros.parameters.node_parameters import DetectorParameters
from dspdet3d_ros.ros.parameters.table import NODE_NAME, PARAMETERS
from dspdet3d_ros.ros.pipeline.detect_service import DetectService
from dspdet3d_ros.ros.pipeline.frames import TargetFrame, import_tf2
from dspdet3d_ros.ros.pipeline.pipeline import Pipeline, free_gpu_memory
from dspdet3d_ros.ros.pipeline.processing import Processing
from dspdet3d_ros.ros.process import LAST_CLOUD_S, run
from dspdet3d_ros.system import torch_threads

if TYPE_CHECKING:
    from dspdet3d_ros.detector.predictor import Detector


class DetectorNode(ManagedNode):
    """Runs the detector on the latest cloud of ~/input/points and publishes what it finds.

    `configure` loads the model, and all callbacks wait meanwhile; `cleanup` frees it. The node takes clouds only while
    it is active. A thread of its own processes them, so that parameters and services answer at any time.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__(NODE_NAME, "the detector", **node_arguments)
        self._detector: Detector | None = None
        self._processing: Processing | None = None
        self._subscription: InputSubscription | None = None
        self._node_parameters = DetectorParameters(self, lambda: self._detector is None, self._publish_labels)
        self._service = DetectService(self, lambda: self._processing if self._subscription else None, self._why_not)
        self._reset = self.create_service(Trigger, f"~/{RESET_TRACKING}", self._reset_tracking)
        self.begin(self._node_parameters["autostart"])

    @property
    def lost(self) -> Fault | None:
        """The fault after which this process cannot compute any more; None if there is none."""
        return self._processing.lost if self._processing else None

    @property
    def subscribers(self) -> dict[str, int]:
        """The number of subscribers of each output that the node knows of; empty unless it is configured."""
        return self._processing.outputs.subscribers if self._processing else {}

    def close(self, timeout_s: float) -> bool:
        """Stops the work on clouds.

        Returns:
            False if a cloud is still being processed after `timeout_s`.
        """
        self.stop()
        return self._processing is None or self._processing.worker.stop(timeout_s)

    def load(self) -> None:
        """Loads the model."""
        parameters = self._node_parameters
        parameters.check()
        threads = parameters["threads"] or None
        with signals.interruptible("the model was being loaded"):
            detector = self._loaded(threads)
            if parameters["target_frame"]:
                import_tf2()
        own = detector.default_settings()
        values = {spec.name: getattr(own, spec.name) for spec in PARAMETERS if spec.from_model and spec.live}
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
            remark=self.faults.remark,
            threads=threads,
            tracking=lambda: parameters.tracking,
            wants_scene=lambda: outputs.wants(COLLISION_OBJECTS),
        )
        self._processing = Processing(pipeline, outputs, self.faults, target, self.get_logger())
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

    def start(self) -> None:
        """Starts taking clouds."""
        self._publish_labels()
        processing, parameters = self._processing, self._node_parameters
        if processing is None:
            raise InputError("no model is loaded; configure the node first")
        processing.restart()
        self._subscription = InputSubscription(
            self,
            PointCloud2,
            "clouds",
            f"~/{INPUT}",
            parameters["input_reliability"],
            parameters["input_durability"],
            processing.take,
            lambda number: processing.traffic.lost_more(number),
            lambda text: self.no_output.report(Fault("qos", text)),
        )
        self.get_logger().info(f"active: taking clouds from {self._subscription.topic} ({self._subscription.reason})")

    def stop(self) -> None:
        """Stops taking clouds; what was found in earlier ones is not published any more."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        if self._processing is not None:
            self._processing.restart()
            if not self.failed:
                self.faults.restart()

    def release(self, wait_s: float = LAST_CLOUD_S) -> None:
        """Frees the model; if it is still busy after `wait_s`, it is freed after its present cloud."""
        self.stop()
        if self._processing is not None and not self._processing.close(wait_s):
            self.get_logger().warning("a cloud is still being processed; its result will not be published")
        self._processing = self._detector = None
        free_gpu_memory()
        self._node_parameters.forget_model()

    def watch(self) -> None:
        """Checks for new subscribers, a dead or hanging worker (error processing) and a lost GPU (end of ROS)."""
        if self._processing is None:
            return
        if self.lost:
            self.end_process(self.lost)
            return
        if self._subscription is not None:
            self._processing.look_for_consumers()
        else:
            # Subscribers from before the activation get each answer once.
            self._processing.outputs.newcomers()
        text = self._processing.failure(self._node_parameters["watchdog_timeout_s"])
        if text:
            self.fail(text)

    def _reset_tracking(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._processing is None:
            response.message = self._why_not()
            return response
        self._processing.forget_objects()
        response.success, response.message = True, "objects get new numbers from the next cloud on"
        return response

    def _why_not(self) -> str:
        return no_output.how_to_activate(self.get_fully_qualified_name(), self.state_label)

    def explain(self) -> Fault | None:
        """Why nothing is published or found, where that is so."""
        device = self._detector.device if self._detector else ""
        faulty = self.faults.present is not None
        return no_output.explain(
            node_snapshot(self, self.state_label, faulty, self._processing, self._subscription, device)
        )

    def time_set_back(self) -> None:
        """Forgets what belongs to a time that has not come yet."""
        if self._processing is not None:
            self._processing.time_set_back()

    def describe(self) -> DiagnosticStatus:
        """Makes the present status for the diagnostics."""
        tau = self._node_parameters.settings.pruning_threshold
        policies = qos.described(self._subscription.profile) if self._subscription else ""
        health = Health(self.state_label, self.faults, self.no_output, tau, self._detector, self._processing, policies)
        return status_message(self.get_fully_qualified_name(), health)

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
