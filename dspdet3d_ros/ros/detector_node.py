"""The detector as a lifecycle node: clouds in, boxes out. Only wiring; see README.md for topics and parameters."""

import os
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from dspdet3d_ros.clouds.pointcloud2 import CloudLayoutError
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.msg import PruningStats
from dspdet3d_ros.ros import messages, qos
from dspdet3d_ros.ros.node_parameters import NodeParameters
from dspdet3d_ros.ros.pipeline import Arrival, Found, Pipeline, check_message
from dspdet3d_ros.ros.refusals import RefusalLog
from dspdet3d_ros.ros.worker import Counts, LatestWorker

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
        self._outputs = {}
        self._refusals = RefusalLog(self.get_logger())
        self._node_parameters = NodeParameters(self, lambda: self._detector is None, self._publish_label_info)
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
        self._publish_label_info()
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
            recenter=parameters.chosen("recenter"),
        )
        own = detector.default_settings()
        values = {name: getattr(own, name) for name in ("pruning_threshold", "score_threshold", "nms_iou_threshold")}
        parameters.follow_model({**values, "recenter": detector.recenter}, detector.class_names)
        self._detector = detector
        self._create_outputs()
        pipeline = Pipeline(detector, lambda: parameters.settings)
        self._worker = LatestWorker(pipeline, self._publish, self._on_failure)
        self._worker.start()
        self.get_logger().info(
            f"configured: model {detector.model_name} with {len(detector.class_names)} classes, "
            f"weights {detector.checkpoint_sha256[:12]}, on {detector.device}, backend {detector.backend}"
        )

    def _create_outputs(self) -> None:
        kinds = {"detections": Detection3DArray, "markers": MarkerArray, "stats": PruningStats, "label_info": LabelInfo}
        for name, kind in kinds.items():
            profile = qos.LATCHED if name == "label_info" else qos.OUTPUT
            topic = self.resolve_topic_name(f"~/output/{name}")
            events = qos.PublisherEventCallbacks(
                incompatible_qos=lambda _, topic=topic, profile=profile: self.get_logger().warning(
                    qos.deaf_subscribers(self, topic, profile)
                )
            )
            self._outputs[name] = self.create_lifecycle_publisher(kind, topic, profile, event_callbacks=events)

    def _stop_taking_clouds(self) -> None:
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._worker is not None:
            self._worker.discard()

    def _release(self) -> None:
        self.close(timeout_s=None)
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs = {}
        self._worker = self._detector = None
        self._node_parameters.forget_model()

    def _wanted(self) -> bool:
        return any(self._outputs[name].get_subscription_count() for name in ("detections", "markers", "stats"))

    def _on_cloud(self, message: PointCloud2) -> None:
        arrival = Arrival(message, time.monotonic())
        try:
            check_message(message)
        except CloudLayoutError as error:
            self._worker.count_refused()
            self._refusals.refuse(error.kind, str(error))
            return
        if self._wanted():
            self.get_logger().debug(f"took a cloud of {message.width * message.height} points")
            self._worker.submit(arrival)
        else:
            self._worker.count_ignored()

    def _publish(self, found: Found, counts: Counts) -> None:
        """Runs in the worker's thread, never while or after the node is deactivated."""
        header, detections = found.arrival.message.header, found.detections
        self._refusals.accept()
        if found.unusable:
            text = f"{found.unusable} boxes were left out: not finite or without volume"
            self.get_logger().warning(text, throttle_duration_sec=5.0)
        self._outputs["detections"].publish(messages.detection_array(header, detections))
        if self._outputs["markers"].get_subscription_count():
            self._outputs["markers"].publish(messages.marker_array(header, detections))
        timing = messages.Timing(
            latency_ms=(time.monotonic() - found.arrival.time_s) * 1e3,
            age_ms=messages.age_ms(header, self.get_clock().now().nanoseconds),
        )
        self._outputs["stats"].publish(
            messages.stats_message(header, detections, self._detector.model_name, timing, counts)
        )

    def _on_failure(self, arrival: Arrival, error: Exception) -> None:
        if isinstance(error, InputError):
            self._refusals.refuse(getattr(error, "kind", "contents"), str(error))
            return
        self._refusals.refuse("processing", _one_line(error))
        self.get_logger().error("".join(traceback.format_exception(error)), once=True)

    def _publish_label_info(self) -> None:
        if self._detector is None or "label_info" not in self._outputs:
            return
        info = messages.label_info(self._detector.class_names, self._node_parameters.settings.score_threshold)
        info.header = Header(stamp=self.get_clock().now().to_msg())
        self._outputs["label_info"].publish(info)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def main(args: list[str] | None = None) -> int:
    """Runs the node until SIGINT, SIGTERM or a shutdown of ROS; that is its proper end, with status 0."""
    node, finished = None, True
    try:
        rclpy.init(args=args)
        node = DetectorNode()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        # A second Ctrl-C must not break off the orderly end.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
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
