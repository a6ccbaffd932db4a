"""From images to objects: a scene is played as a depth camera, to the accumulator and the detector node.

`make demo-rgbd` runs this with the demo room. It prints what is found while the map grows and how often objects come,
and draws the first, a middle and the last state.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from vision_msgs.msg import Detection3DArray

from dspdet3d_ros.clouds.cloud import LabelledBoxes
from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.clouds.pointcloud2 import decode
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.detector.result import Detections
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.message_contents import to_detections
from dspdet3d_ros.msg import AccumulatorStats, PruningStats
from dspdet3d_ros.output_files import write_json, writing
from dspdet3d_ros.recordings import record_demo
from dspdet3d_ros.recordings.demo_camera import views
from dspdet3d_ros.recordings.types import typestore
from dspdet3d_ros.ros.interface import topics
from dspdet3d_ros.ros.interface.qos import LATCHED
from dspdet3d_ros.ros.parameters.table import NODE_NAME
from dspdet3d_ros.ros.tools.node_client import ClientError, NodeProcess, exit_status, isolate
from dspdet3d_ros.tools.viewer.picture import draw_detections
from dspdet3d_ros.tools.viewer.summary import FOUND_IOU, overlaps
from dspdet3d_ros.validation import POSITIVE, Range, mismatch

ACCUMULATOR = "accumulator"
#: The optical frame (x right, y down, z forward) in the frame that the odometry moves (x forward, y left, z up).
MOUNT = "0 0 0 -0.5 0.5 -0.5 0.5"
INPUTS = {
    record_demo.ODOMETRY: (topics.POSE, Odometry),
    record_demo.DEPTH_INFO: (topics.CAMERA_INFO, CameraInfo),
    record_demo.COLOUR: (topics.COLOUR, Image),
    record_demo.DEPTH: (topics.DEPTH, Image),
}


@dataclass(frozen=True)
class State:
    """The objects in one cloud of the map.

    Attributes:
        frames: number of images that the camera had published then.
        cloud: the message.
        detections: in the cloud.
        found: number of true objects that have a box.
        named: number of them with the right name.
        time_s: `time.monotonic()` when the objects came.
        latency_ms: from the arrival of the cloud at the detector to the published objects.
    """

    frames: int
    cloud: PointCloud2
    detections: Detections
    found: int
    named: int
    time_s: float
    latency_ms: float


class Camera:
    """Publishes the images of a scene, and collects clouds and detections.

    Args:
        namespace: of the two nodes.
        truth: the true boxes.
    """

    def __init__(self, namespace: str, truth: LabelledBoxes) -> None:
        self._truth = truth
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self._node = rclpy.create_node("camera", namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        accumulator, detector = f"{namespace}/{ACCUMULATOR}", f"{namespace}/{NODE_NAME}"
        self._publishers = {
            topic: self._node.create_publisher(kind, f"{accumulator}/{name}", 5)
            for topic, (name, kind) in INPUTS.items()
        }
        self._clouds: dict[tuple[int, int], PointCloud2] = {}
        self._arrays: dict[tuple[int, int], Detection3DArray] = {}
        self._stats: dict[tuple[int, int], PruningStats] = {}
        self._times: dict[tuple[int, int], float] = {}
        for kind, topic, kept, profile in (
            (PointCloud2, f"{accumulator}/{topics.CLOUD}", self._clouds, LATCHED),
            (Detection3DArray, f"{detector}/{topics.DETECTIONS}", self._arrays, 10),
            (PruningStats, f"{detector}/{topics.STATS}", self._stats, 10),
        ):
            self._node.create_subscription(kind, topic, lambda message, kept=kept: self._keep(message, kept), profile)
        self._node.create_subscription(AccumulatorStats, f"{accumulator}/{topics.STATS}", self._count, LATCHED)
        #: Figures of the latest image in the map.
        self.counts = AccumulatorStats()
        self.frames = 0
        self.last_stamp = (0, 0)

    def close(self) -> None:
        """Leaves ROS."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def connected(self) -> bool:
        """Whether both nodes take and send."""
        self.spin(0.1)
        return all(p.get_subscription_count() for p in self._publishers.values()) and all(
            self._node.count_publishers(s.topic_name) for s in self._node.subscriptions if "/output/" in s.topic_name
        )

    def publish(self, view: Any) -> None:
        """Publishes one view."""
        for topic, message in record_demo.messages_of(view):
            if topic in self._publishers:
                raw = bytes(typestore().serialize_cdr(message, message.__msgtype__))
                self._publishers[topic].publish(deserialize_message(raw, INPUTS[topic][1]))
                self.last_stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        self.frames += 1

    def spin(self, seconds: float) -> None:
        """Takes messages for some time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def states(self) -> list[State]:
        """The clouds that are complete with detections and stats; each is returned once."""
        done = []
        for key in sorted(self._clouds.keys() & self._arrays.keys() & self._stats.keys()):
            cloud, array, stats = self._clouds.pop(key), self._arrays.pop(key), self._stats.pop(key)
            detections = to_detections(array, stats)
            iou = overlaps(detections, self._truth)
            best = iou.argmax(axis=1) if iou.size else []
            hits = {int(t): detections.names[row] for row, t in enumerate(best) if iou[row, t] > FOUND_IOU}
            named = sum(self._truth.names[t] == name for t, name in hits.items())
            done.append(State(self.frames, cloud, detections, len(hits), named, self._times.pop(key), stats.latency_ms))
        return done

    def _count(self, stats: AccumulatorStats) -> None:
        self.counts = stats

    def _keep(self, message: Any, kept: dict[tuple[int, int], Any]) -> None:
        key = message.header.stamp.sec, message.header.stamp.nanosec
        kept[key] = message
        # The objects come last, or the stats right after them.
        self._times[key] = time.monotonic()


def main(argv: list[str] | None = None) -> int:
    """Runs the demo; status 0 only if the objects in the last map arrived, else 1 and one line with the reason."""
    args = _parser().parse_args(argv)
    return exit_status("demo_rgbd", lambda: run(args))


def run(args: argparse.Namespace) -> None:
    """Starts the two nodes, plays the camera, reports, and ends the nodes.

    Raises:
        ClientError: something did not arrive.
        InputError: an argument is out of range, or a result cannot be written.
    """
    for name, kind, allowed in (
        ("frames", int, Range(8, 10_000)),
        ("rate", float, POSITIVE),
        ("maps", float, POSITIVE),
    ):
        text = mismatch(getattr(args, name), kind, allowed)
        if text:
            raise InputError(f"--{name}: {text}; correct the argument")
    room = read_cloud(args.cloud)
    if room.rgb is None or room.truth is None:
        raise InputError(f"{args.cloud}: has no colours or no boxes; give a scene of `dspdet3d generate`")
    logs = [args.out / f"{name}.log" for name in (ACCUMULATOR, NODE_NAME)]
    for log in logs:
        with writing(log):
            log.touch()
    isolate()
    namespace = f"/demo_{os.getpid()}"
    clouds = f"{namespace}/{ACCUMULATOR}/{topics.CLOUD}"
    print(f"starting accumulator and detector; their logs are in {args.out}", flush=True)
    processes = [
        NodeProcess(
            namespace,
            [
                "pose_source:=odometry",
                f"camera_mount:='{MOUNT}'",
                "world_frame:=odom",
                f"publish_rate_hz:={float(args.maps)}",
                "max_jump_m:=1.5",
                "max_jump_deg:=90.0",
                # A busy machine may take a pose long after its image.
                "tf_timeout_s:=5.0",
            ],
            logs[0],
            "accumulator_node",
        ),
        NodeProcess(
            namespace,
            ["tracking:=true"],
            logs[1],
            remappings=[f"{namespace}/{NODE_NAME}/{topics.INPUT}:={clouds}"],
        ),
    ]
    camera = Camera(namespace, room.truth)
    try:
        shots = list(views(room.xyz.astype(float), room.rgb, args.frames, args.rate))
        _wait(camera.connected, processes, args.timeout, "the two nodes")
        states = _play(camera, shots, processes, args)
    finally:
        camera.close()
        statuses = [process.stop() for process in processes]
    if any(statuses):
        raise ClientError(f"a node ended with a status other than 0: {statuses}; see {args.out}")
    print(used_text(camera.counts.frames_processed, camera.frames, args.rate))
    _report(states, room.truth, args.out)


def _play(camera: Camera, shots: list[Any], processes: list[NodeProcess], args: argparse.Namespace) -> list[State]:
    states: list[State] = []
    print("frames   points  boxes  found  named right", flush=True)

    def look() -> bool:
        """Prints the new states; whether the last frame is in one of them."""
        for state in camera.states():
            states.append(state)
            print(
                f"{state.frames:6} {state.cloud.width:8} {len(state.detections):6} {state.found:6} {state.named:6}",
                flush=True,
            )
        stamp = states[-1].cloud.header.stamp if states else None
        return stamp is not None and (stamp.sec, stamp.nanosec) == camera.last_stamp

    def complete() -> bool:
        camera.spin(0.1)
        return look()

    start = time.monotonic()
    for number, view in enumerate(shots):
        camera.publish(view)
        camera.spin(max(0.0, start + (number + 1) / args.rate - time.monotonic()))
        look()
    _wait(complete, processes, args.timeout, "the objects in the last map")
    return states


def used_text(used: int, sent: int, rate: float) -> str:
    """The number of sent images that are in the map, and what to do if it is small."""
    text = f"{used} of {sent} images are in the map"
    slow = f": a machine that is slow or busy drops images; lower --rate (now {rate:g} images per second)"
    return text if used > 0.9 * sent else text + slow


def _wait(condition: Any, processes: list[NodeProcess], timeout_s: float, what: str) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        for process in processes:
            process.check()
        if time.monotonic() > end:
            raise ClientError(f"waited {timeout_s:.0f} s for {what}")


def _report(states: list[State], truth: LabelledBoxes, out: Path) -> None:
    last = states[-1]
    print(f"{last.found} of {len(truth.names)} objects found in the last map, {last.named} of them named right")
    span = last.time_s - states[0].time_s
    if span > 0:
        latency = statistics.median(state.latency_ms for state in states)
        print(f"{(len(states) - 1) / span:.2f} maps with objects per second; detector: median {latency:.0f} ms per map")
    for name, state in (("first", states[0]), ("middle", states[len(states) // 2]), ("last", last)):
        cloud = decode(state.cloud, with_rgb=True)
        title = f"{state.frames} frames: {state.found} of {len(truth.names)} objects found"
        draw_detections(out / f"{name}.png", cloud.xyz, cloud.rgb, state.detections, truth, title)
    rows = [
        {
            "frames": s.frames,
            "points": s.cloud.width,
            "boxes": len(s.detections),
            "found": s.found,
            "named": s.named,
            "time_s": s.time_s - states[0].time_s,
            "latency_ms": s.latency_ms,
        }
        for s in states
    ]
    write_json(out / "states.json", {"objects": len(truth.names), "states": rows})
    print(f"written: first.png, middle.png, last.png, states.json in {out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo_rgbd", description="Find objects with a played depth camera.")
    parser.add_argument("--out", type=Path, default=Path("build/demo_rgbd"), help="folder of the results")
    parser.add_argument("--frames", type=int, default=200, help="number of images (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=10.0, help="images per second (default: %(default)s)")
    parser.add_argument("--maps", type=float, default=1.0, help="maps per second (default: %(default)s)")
    parser.add_argument(
        "--cloud",
        type=Path,
        default=DEMO_CLOUD,
        help="a scene with colours and boxes, such as a table of `dspdet3d generate` (default: the demo room)",
    )
    parser.add_argument(
        "--timeout", type=float, default=180.0, help="seconds to wait for anything (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
