"""The detector as a lifecycle node: clouds in, boxes out. Only wiring; see README.md for topics and parameters."""

import os
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import PointCloud2

from dspdet3d_ros.clouds.pointcloud2 import CloudLayoutError
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros import qos
from dspdet3d_ros.ros.node_parameters import NodeParameters
from dspdet3d_ros.ros.outputs import Outputs
from dspdet3d_ros.ros.pipeline import Arrival, Found, Pipeline, check_message, free_gpu_memory
from dspdet3d_ros.ros.refusals import RefusalLog
from dspdet3d_ros.ros.worker import Counts, LatestWorker
from dspdet3d_ros.threads import wait_without_spinning

if TYPE_CHECKING:
    from dspdet3d_ros.detector.predictor import Detector

NODE_NAME = "dspdet3d"
INPUT = "~/input/points"
# How long the end of the process waits for a cloud that is being worked on; ros2 launch loses patience after 5 s.
LAST_CLOUD_S = 3.0
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class DetectorNode(LifecycleNode):
    """Runs the detector on the latest cloud of ~/input/points and publishes what it finds.

    The model is loaded by `configure` and freed by `cleanup`; clouds are only taken while the node is active. Work on
    clouds is done in a thread of its own, so that parameters and services always answer.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__(NODE_NAME, **node_arguments)
        self._detector: Detector | None = None
        self._worker: LatestWorker | None = None
        self._subscription = None
        self._outputs: Outputs | None = None
        self._refusals = RefusalLog(self.get_logger())
        self._node_parameters = NodeParameters(self, lambda: self._detector is None, self._publish_labels)
        if self._node_parameters["autostart"]:
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=steady)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the model; fails with a reason in the log, after which the node can be configured again."""
        try:
            self._load()
        except InputError as error:
            self._release()
            self.get_logger().error(f"cannot be configured: {error}")
            return FAILURE
        except Exception as error:
            # Drivers and libraries fail in many ways; the node outlives them all.
            self._release()
            self.get_logger().error(f"cannot be configured: {_one_line(error)}\n{traceback.format_exc()}")
            return FAILURE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Starts taking clouds."""
        result = super().on_activate(state)
        self._publish_labels()
        profile = qos.input_qos(self._node_parameters["input_reliability"], self._node_parameters["input_durability"])
        events = qos.SubscriptionEventCallbacks(
            incompatible_qos=lambda _: self.get_logger().error(
                qos.unheard_publishers(self, self.resolve_topic_name(INPUT), profile)
            )
        )
        self._subscription = self.create_subscription(
            PointCloud2, INPUT, self._on_cloud, profile, event_callbacks=events
        )
        self.get_logger().info(f"active: taking clouds from {self._subscription.topic_name} ({qos.described(profile)})")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops taking clouds; what was found in earlier ones is not published any more."""
        self._stop_taking_clouds()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees the model."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything."""
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything; the node is unconfigured then."""
        self._release()
        return SUCCESS

    def close(self, timeout_s: float) -> bool:
        """Stops working on clouds.

        Returns:
            False where a cloud is still being worked on after `timeout_s`.
        """
        self._stop_taking_clouds()
        return self._worker is None or self._worker.stop(timeout_s)

    def _autostart(self) -> None:
        self.destroy_timer(self._autostart_timer)
        if self.trigger_configure() == SUCCESS:
            self.trigger_activate()
        else:
            self.get_logger().error("not started; mend it, then `ros2 lifecycle set` configure and activate")

    def _load(self) -> None:
        # torch takes seconds to import; until here the node has already been answering.
        from dspdet3d_ros.detector.predictor import Detector

        parameters = self._node_parameters
        parameters.check()
        detector = Detector.load(
            model=parameters["model"],
            checkpoint=parameters["checkpoint"] or None,
            device=parameters["device"],
            backend=parameters["backend"],
            max_points=parameters["max_points"],
            max_voxels=parameters["max_voxels"],
            recenter=parameters.chosen("recenter"),
        )
        own = detector.default_settings()
        values = {name: getattr(own, name) for name in ("pruning_threshold", "score_threshold", "nms_iou_threshold")}
        parameters.follow_model({**values, "recenter": detector.recenter}, detector.class_names)
        self._detector = detector
        self._outputs = Outputs(self, detector.model_name, detector.class_names)
        pipeline = Pipeline(detector, lambda: parameters.settings)
        self._worker = LatestWorker(pipeline, self._publish, self._on_failure)
        self._worker.start()
        self.get_logger().info(
            f"configured: model {detector.model_name} with {len(detector.class_names)} classes, "
            f"weights {detector.checkpoint_sha256[:12]}, on {detector.device}, backend {detector.backend}"
        )

    def _stop_taking_clouds(self) -> None:
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._worker is not None:
            self._worker.discard()

    def _release(self) -> None:
        self.close(timeout_s=None)
        if self._outputs is not None:
            self._outputs.destroy()
        self._outputs = self._worker = self._detector = None
        free_gpu_memory()
        self._node_parameters.forget_model()

    def _on_cloud(self, message: PointCloud2) -> None:
        arrival = Arrival(message, time.monotonic())
        try:
            check_message(message)
        except CloudLayoutError as error:
            self._worker.count_refused()
            self._refusals.refuse(error.kind, str(error))
            return
        if self._outputs.wanted:
            self.get_logger().debug(f"took a cloud of {message.width * message.height} points")
            self._worker.submit(arrival)
        else:
            self._worker.count_ignored()

    def _publish(self, found: Found, counts: Counts) -> None:
        """Runs in the worker's thread, never while or after the node is deactivated."""
        self._refusals.accept()
        if found.unusable:
            text = f"{found.unusable} boxes were left out: not finite or without volume"
            self.get_logger().warning(text, throttle_duration_sec=5.0)
        self._outputs.publish(found, counts)

    def _on_failure(self, arrival: Arrival, error: Exception) -> None:
        if isinstance(error, InputError):
            self._refusals.refuse(getattr(error, "kind", "contents"), str(error))
            return
        # After an error for lack of memory the next cloud may well fit.
        free_gpu_memory()
        self._refusals.refuse("processing", _one_line(error))
        self.get_logger().error("".join(traceback.format_exception(error)), once=True)

    def _publish_labels(self) -> None:
        if self._outputs is not None:
            self._outputs.publish_labels(self._node_parameters.settings.score_threshold)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def main(args: list[str] | None = None) -> int:
    """Runs the node until SIGINT, SIGTERM or a shutdown of ROS; that is its proper end, with status 0."""
    wait_without_spinning()
    asked_to_end = threading.Event()
    # No KeyboardInterrupt: where it strikes inside rclpy's C++ code it aborts the process. rclpy's own handlers, which
    # call these in turn, end the executor.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_end.set())
    node, initialised, finished = None, False, True
    try:
        rclpy.init(args=args)
        initialised = True
        node = DetectorNode()
        if not asked_to_end.is_set():
            rclpy.spin(node)
    except ExternalShutdownException:
        pass
    except Exception:
        # A signal may end ROS between any two steps, and then whatever comes next fails in its own way.
        if not initialised or rclpy.ok():
            raise
    finally:
        if node is not None:
            finished = node.close(LAST_CLOUD_S)
            node.destroy_node()
        rclpy.try_shutdown()
    if not finished:
        # Python cannot end while torch works in another thread: it would abort the process.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
