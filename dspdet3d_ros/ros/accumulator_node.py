"""The accumulator as a lifecycle node: depth and colour images with poses in, a cloud out. Only wiring.

docs/accumulator.md describes the topics and parameters.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from dspdet3d_ros.errors import InputError, one_line
from dspdet3d_ros.mapping.pairing import Pairing
from dspdet3d_ros.msg import AccumulatorStats
from dspdet3d_ros.ros import signals
from dspdet3d_ros.ros.accumulation.accumulation import Accumulation, MapCloud
from dspdet3d_ros.ros.accumulation.frame_stats import FrameStats
from dspdet3d_ros.ros.accumulation.inputs import Inputs
from dspdet3d_ros.ros.accumulation.poses import CameraPoses, Frames, mount_of
from dspdet3d_ros.ros.faults import Fault
from dspdet3d_ros.ros.health import no_map
from dspdet3d_ros.ros.health.accumulator_status import accumulator_status
from dspdet3d_ros.ros.health.graph import input_snapshot
from dspdet3d_ros.ros.health.no_output import PATIENCE_S
from dspdet3d_ros.ros.interface import qos, topics
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.managed_node import ManagedNode
from dspdet3d_ros.ros.parameters.accumulator_table import MAP_FIELDS, NODE_NAME, PARAMETERS, AccumulatorSettings
from dspdet3d_ros.ros.parameters.node_parameters import NodeParameters
from dspdet3d_ros.ros.pipeline.frames import import_tf2
from dspdet3d_ros.ros.process import LAST_CLOUD_S, run
from dspdet3d_ros.ros.results import Counts

_IMAGE = "sensor_msgs/msg/Image"


class AccumulatorParameters(NodeParameters):
    """The parameters of the accumulator."""

    def __init__(self, node: LifecycleNode, may_change_startup: Callable[[], bool]) -> None:
        super().__init__(node, PARAMETERS, may_change_startup, lambda: None)

    def settings_of(self, live: dict[str, Any]) -> AccumulatorSettings:
        """The live parameters."""
        # Imported here because it needs no torch, and this class is made before torch is.
        from dspdet3d_ros.mapping.map_settings import MapSettings

        of_map = {name: live[name] for name in MAP_FIELDS}
        return AccumulatorSettings(MapSettings(**of_map), **{n: v for n, v in live.items() if n not in of_map})


class AccumulatorNode(ManagedNode):
    """Accumulates depth images into a map and publishes it as a cloud.

    Images are only taken while the node is active; the map stays until `cleanup`. The work is done in a thread of its
    own: parameters and services answer meanwhile.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__(NODE_NAME, "the accumulator", "frames", **node_arguments)
        self._accumulation: Accumulation | None = None
        self._poses: CameraPoses | None = None
        self._frames: Frames | None = None
        self._pairing: Pairing | None = None
        self._inputs: Inputs | None = None
        self._publisher: Any = None
        self._stats: Any = None
        self._node_parameters = AccumulatorParameters(self, lambda: self._accumulation is None)
        self._triggers = (
            self.create_service(Trigger, f"~/{topics.RESET}", partial(self._answer, "reset")),
            self.create_service(Trigger, f"~/{topics.SAVE}", partial(self._answer, "save")),
        )
        self.begin(self._node_parameters["autostart"])

    @property
    def lost(self) -> Fault | None:
        """The fault after which this process cannot compute any more; None if there is none."""
        return self._accumulation.lost if self._accumulation else None

    def load(self) -> None:
        """Makes an empty map."""
        parameters = self._node_parameters
        parameters.check()
        mount = mount_of(parameters["camera_mount"])
        device = parameters["device"]
        with signals.interruptible("torch was being loaded"):
            # The import of torch takes seconds; before it the node already answers services.
            from dspdet3d_ros.detector.loaded_model import choose_device
            from dspdet3d_ros.mapping.accumulator import Accumulator

            accumulator = Accumulator(parameters.settings.map, str(choose_device(device)))
            import_tf2()
        self._frames = Frames(self, parameters["tf_timeout_s"])
        self._poses = CameraPoses(
            self,
            parameters["pose_source"],
            f"~/{topics.POSE}",
            parameters["world_frame"],
            mount,
            parameters["tf_timeout_s"],
            self._frames,
        )
        self._publisher = self.create_lifecycle_publisher(PointCloud2, f"~/{topics.CLOUD}", qos.LATCHED)
        self._stats = self.create_lifecycle_publisher(AccumulatorStats, f"~/{topics.STATS}", qos.LATCHED)
        self._accumulation = Accumulation(
            accumulator,
            lambda: parameters.settings,
            self._poses,
            self._frames,
            self._publish,
            self._report,
            self.faults,
            self.get_logger(),
            parameters["threads"] or None,
        )
        source = f"tf to '{self._poses.frame}'" if parameters["pose_source"] == "tf" else self._poses.topic
        self.get_logger().info(
            f"configured: voxels of {parameters.settings.map.voxel_size:g} m on {accumulator.device}, "
            f"poses from {source}"
        )

    def start(self) -> None:
        """Starts taking images."""
        accumulation, settings = self._accumulation, self._node_parameters
        if accumulation is None:
            raise InputError("there is no map; configure the node first")
        accumulation.restart()
        self._pairing = Pairing(
            accumulation.take,
            accumulation.refuse,
            lambda: settings.settings.sync_tolerance_s,
            lambda: settings.settings.use_colour and self._inputs is not None and self._inputs.colour.published,
        )
        self._inputs = Inputs(
            self,
            self._pairing,
            settings["input_reliability"],
            lambda number: accumulation.traffic.lost_more(number),
            lambda text: self.no_output.report(Fault("qos", text)),
        )
        self.get_logger().info(f"active: taking depth images from {self._inputs.depth.raw.topic}")

    def stop(self) -> None:
        """Stops taking images; the map stays."""
        if self._inputs is not None and self._pairing is not None:
            self._inputs.close()
            # Its images are megabytes each, which would stay until Python looks for circular references.
            self._pairing.forget()
            self._inputs = self._pairing = None
        if self._accumulation is not None:
            self._accumulation.restart()
            if not self.failed:
                self.faults.restart()

    def release(self, wait_s: float = LAST_CLOUD_S) -> None:
        """Frees the map; work that goes on after `wait_s` is not waited for."""
        self.stop()
        if self._accumulation is not None:
            if self._accumulation.worker.stop(wait_s):
                self._accumulation.free()
            else:
                self.get_logger().warning("a frame is still being worked on; its result will not be published")
        self._accumulation = None
        for part in (self._poses, self._frames):
            if part is not None:
                part.close()
        self._poses = self._frames = None
        for publisher in (self._publisher, self._stats):
            if publisher is not None:
                self.destroy_lifecycle_publisher(publisher)
        self._publisher = self._stats = None

    def close(self, timeout_s: float) -> bool:
        """Stops working on frames; False if one is still being worked on after `timeout_s`."""
        self.stop()
        return self._accumulation is None or self._accumulation.worker.stop(timeout_s)

    def watch(self) -> None:
        """Completes waiting images, publishes late frames, and looks after the worker."""
        accumulation = self._accumulation
        if accumulation is None:
            return
        if self.lost:
            self.end_process(self.lost)
            return
        if self._pairing is not None and self._inputs is not None:
            self._inputs.look()
            self._pairing.look()
            accumulation.look()
        text = accumulation.failure()
        if text:
            self.fail(text)

    def time_set_back(self) -> None:
        """Forgets what belongs to a time that has not come yet."""
        if self._pairing is not None:
            self._pairing.forget()
        if self._accumulation is not None:
            self._accumulation.time_set_back()

    def explain(self) -> Fault | None:
        """Why nothing is published, where that is so."""
        name, faulty = self.get_fully_qualified_name(), self.faults.present is not None
        accumulation, inputs = self._accumulation, self._inputs
        if accumulation is None or inputs is None:
            return no_map.explain(no_map.AccumulatorSnapshot(name, self.state_label, faulty))
        waited_s = accumulation.traffic.waited_s(time.monotonic())
        raw = inputs.depth.raw
        # Discovery is asked only where the answer matters.
        ask = waited_s >= PATIENCE_S and not self.count_publishers(inputs.depth.names[1])
        snapshot = no_map.AccumulatorSnapshot(
            name,
            self.state_label,
            faulty,
            input_snapshot(self, raw.topic, raw.profile, _IMAGE, raw.of) if ask else None,
            waited_s,
            inputs.received,
            accumulation.worker.counts.processed,
            accumulation.points,
            self._node_parameters.settings.map.min_observations,
        )
        return no_map.explain(snapshot)

    def describe(self) -> DiagnosticStatus:
        """Makes the present status for the diagnostics."""
        return accumulator_status(
            self.get_fully_qualified_name(),
            self.state_label,
            self.faults,
            self.no_output,
            self._accumulation,
            self._poses,
            self._node_parameters["device"],
        )

    def _publish(self, cloud: MapCloud) -> None:
        if self._publisher is not None:
            header = Header(frame_id=cloud.frame)
            if cloud.stamp is not None:
                header.stamp = cloud.stamp
            self._publisher.publish(cloud_message(header, cloud.cloud.xyz, cloud.cloud.rgb))

    def _report(self, frame: FrameStats, latency_ms: float, counts: Counts) -> None:
        accumulation = self._accumulation
        if self._stats is not None and accumulation is not None:
            now_ns, points = self.get_clock().now().nanoseconds, accumulation.points or 0
            self._stats.publish(frame.message(points, latency_ms, now_ns, counts, self.faults.counts))

    def _answer(self, action: str, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Resets the map or saves the cloud, in any state in which there is a map."""
        accumulation = self._accumulation
        try:
            if accumulation is None:
                raise InputError("there is no map; configure the node first")
            response.message = accumulation.reset() if action == "reset" else accumulation.save()
            response.success = True
            self.get_logger().info(f"{action}: {response.message}")
        except Exception as error:
            # Also too little memory: a service must not end the node.
            response.success, response.message = False, str(error) if isinstance(error, InputError) else one_line(error)
            self.get_logger().error(f"{action}: {response.message}")
        return response


def main(args: list[str] | None = None) -> int:
    """Runs the node; see `dspdet3d_ros.ros.process.run` for its exit status."""
    return run(AccumulatorNode, args)


if __name__ == "__main__":
    sys.exit(main())
