"""`make soak-accumulator`: a camera that is faster than the accumulator, stops and comes back, and cycles meanwhile."""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from typing import Any

from lifecycle_msgs.msg import Transition
from std_srvs.srv import Trigger

from dspdet3d_ros.msg import AccumulatorStats
from dspdet3d_ros.ros.interface import topics
from dspdet3d_ros.ros.interface.qos import LATCHED
from dspdet3d_ros.ros.parameters.accumulator_table import NODE_NAME
from dspdet3d_ros.ros.tools.endurance import command, figures
from dspdet3d_ros.ros.tools.endurance.node_under_test import NodeUnderTest
from dspdet3d_ros.ros.tools.endurance.soak import SIGNALS, ended, values_of
from dspdet3d_ros.ros.tools.node_client import ClientError, NodeClient, NodeProcess, isolate
from dspdet3d_ros.ros.tools.shared_memory import left_over, segments

ANSWER_S = 120.0
MAX_VOXELS = 100_000
# Rows and index of a voxel, and room for those of one frame more than the limit.
BYTES_PER_VOXEL = 250
# The views of a camera that is much faster than the node are far apart.
PARAMETERS = (
    "pose_source:=odometry",
    "input_reliability:=reliable",
    f"max_voxels:={MAX_VOXELS}",
    "max_jump_m:=0.0",
    "max_jump_deg:=0.0",
)
# Memory is compared under the same work: so many frames after a reset, under these settings.
REFERENCE_FRAMES = 3
REFERENCE_SETTINGS = {"voxel_size": 0.01, "min_observations": 1, "refine": True, "publish_rate_hz": 5.0}
STATES = ("inactive", "working")


class AccumulatorSoak(NodeUnderTest):
    """The accumulator.

    Attributes:
        resets_ms: milliseconds of each reset.
        refused: number of messages that name a kind of refused frame, by kind.
        most_bytes: the largest map.
    """

    def __init__(self, client: NodeClient, process: NodeProcess, seed: int) -> None:
        super().__init__(client, process, seed)
        self._last: AccumulatorStats | None = None
        self.resets_ms: list[float] = []
        self.refused: Counter[str] = Counter()
        self.most_bytes = 0
        client.subscribe(AccumulatorStats, topics.STATS, self._take, LATCHED)

    def cycle(self, number: int) -> None:
        """Random settings, a reset during the work, a lifecycle cycle, and the reference frames."""
        self.set(
            voxel_size=self.random.choice((0.01, 0.02, 0.05)),
            min_observations=self.random.randint(1, 5),
            refine=self.random.random() < 0.5,
            window_frames=self.random.choice((0, 20)),
            publish_rate_hz=self.random.choice((0.5, 5.0)),
        )
        if self.random.random() < 0.5:
            self.wait_for_frames(self.random.randint(1, 5))
        if self.random.random() < 0.5:
            self._reset()
        self.change_states(number)
        self.set(**REFERENCE_SETTINGS)
        self.wait_for_frames(1)
        self._reset()
        self.wait_for_frames(REFERENCE_FRAMES)
        self.sample()

    def wait_for_frames(self, number: int) -> None:
        """Waits until so many more frames have entered the map."""
        before, end = self.counts["results"], time.monotonic() + ANSWER_S
        while not self._node.wait_for(lambda: self.counts["results"] >= before + number, 2.0):
            self.process.check()
            if time.monotonic() > end:
                raise ClientError(f"no frame entered the map within {ANSWER_S:.0f} s")

    def _reset(self) -> None:
        start = time.monotonic()
        answer = self._node.call(Trigger, Trigger.Request(), topics.RESET)
        if not answer.success:
            raise ClientError(f"a reset failed: {answer.message}")
        self.resets_ms.append((time.monotonic() - start) * 1e3)
        self.counts["resets"] += 1

    def _take(self, stats: AccumulatorStats) -> None:
        stamp, last = _seconds(stats), self._last
        under_way = stats.frames_received - stats.frames_processed - stats.frames_dropped - stats.frames_refused
        self.counts["results"] += 1
        self.counts["not accounted for"] += not 0 <= under_way <= 2
        # A frame may be refused in the other thread while the message is made.
        self.counts["refused but of no kind"] += abs(sum(stats.refused_counts) - stats.frames_refused) > 1
        self.refused.update(set(stats.refused_kinds))
        self.most_bytes = max(self.most_bytes, stats.map_bytes)
        self.counts["voxels above the limit"] += stats.voxels > MAX_VOXELS
        if last is not None:
            self.counts["unordered"] += stamp <= _seconds(last)
            # The latched message of before a cleanup does not come again.
            self.counts["the camera came back"] += stamp - _seconds(last) > 1.0
            if stats.frames_received > last.frames_received:
                self.counts["frames"] += stats.frames_received - last.frames_received
                self.counts["dropped"] += max(stats.frames_dropped - last.frames_dropped, 0)
        self._last = stats


def _seconds(stats: AccumulatorStats) -> float:
    return stats.header.stamp.sec + stats.header.stamp.nanosec * 1e-9


def _camera(args: argparse.Namespace, name: str, seconds: float) -> subprocess.Popen:
    module = [sys.executable, "-m", "dspdet3d_ros.ros.tools.endurance.rgbd_camera", name]
    options = ["--hertz", str(args.hertz), "--seconds", str(seconds), "--on", str(args.on), "--off", str(args.off)]
    return subprocess.Popen([*module, *options], stdout=subprocess.PIPE, text=True)


def _stop(camera: subprocess.Popen | None) -> None:
    if camera is not None:
        camera.terminate()
        camera.communicate()


def run(args: argparse.Namespace) -> command.Outcome:
    """Soaks one node, then ends others by both signals.

    Raises:
        ClientError: the node did not answer, refused a transition or a setting, or ended.
    """
    isolate()
    namespace, parameters = f"/soak_{os.getpid()}", [*PARAMETERS, *args.parameters]
    process = NodeProcess(namespace, parameters, args.out / "node.log", "accumulator_node")
    camera = None
    try:
        client = NodeClient(process, namespace, NODE_NAME, 180.0)
        client.wait_until_active()
        soak = AccumulatorSoak(client, process, args.seed)
        # Longer than the run: the last cycle needs frames too.
        camera = _camera(args, client.name, args.minutes * 60 + 2 * ANSWER_S)
        soak.wait_for_frames(1)
        end, number = time.monotonic() + args.minutes * 60, 0
        while time.monotonic() < end:
            soak.cycle(number)
            number += 1
        mapped = segments(process.pid)
        client.close()
    finally:
        status = process.stop()
        _stop(camera)
    ends = {f"{state}, {number.name}": _end(args, state, number) for state in args.states for number in SIGNALS}
    values = values_of(args, soak, status, left_over(mapped), ends)
    counts = soak.counts
    values["resets_ms"] = figures.percentiles(soak.resets_ms)
    values["largest_map_mb"] = soak.most_bytes / 1e6
    values["refused_kinds"] = dict(soak.refused)
    values["checks"] |= {
        "every frame is accounted for": not counts["not accounted for"],
        "every refused frame has a kind": not counts["refused but of no kind"],
        "results have ever newer stamps": not counts["unordered"],
        f"at most {MAX_VOXELS} voxels": not counts["voxels above the limit"],
        "the memory of the map is bounded": soak.most_bytes <= BYTES_PER_VOXEL * MAX_VOXELS,
        "the camera was faster than the node": counts["dropped"] > 0,
        "frames went on after the camera had stopped": counts["the camera came back"] > 0,
    }
    return command.Outcome(values, soak.samples, soak.latencies, f"{counts['activated']} cycles of the accumulator")


def _end(args: argparse.Namespace, state: str, number: Any) -> dict[str, Any]:
    """Exit status of a node that gets a signal in a state, and the shared memory that it leaves behind."""
    namespace = f"/soak_{os.getpid()}_{state}"
    parameters = [*PARAMETERS, *args.parameters, f"autostart:={state == 'working'}".lower()]
    process = NodeProcess(namespace, parameters, args.out / "end.log", "accumulator_node")
    camera = None
    try:
        client = NodeClient(process, namespace, NODE_NAME, 180.0)
        if state == "inactive":
            client.state()
            client.change_state(Transition.TRANSITION_CONFIGURE)
        else:
            client.wait_until_active()
            soak = AccumulatorSoak(client, process, args.seed)
            camera = _camera(args, client.name, ANSWER_S)
            soak.wait_for_frames(2)
        mapped = segments(process.pid)
        client.close()
    finally:
        status = process.stop(number)
        _stop(camera)
    return ended(status, mapped)


def main(argv: list[str] | None = None) -> int:
    """Runs, writes the report and the plot; status 1 where a check fails."""
    parser = command.arguments("accumulator_soak", "the real accumulator under a fast camera and cycles", minutes=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hertz", type=float, default=60.0, help="frames per second of the camera")
    parser.add_argument("--on", type=float, default=10.0, help="seconds after which the camera stops")
    parser.add_argument("--off", type=float, default=2.0, help="seconds after which it goes on")
    parser.add_argument("--states", nargs="+", choices=STATES, default=STATES, help="in which nodes are ended")
    return command.run(parser, run, argv)


if __name__ == "__main__":
    sys.exit(main())
