"""`make soak`: many kinds of clouds, settings and lifecycle cycles, for a chosen time; nothing may be left behind."""

import argparse
import os
import signal
import sys
import time
from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
from lifecycle_msgs.msg import Transition
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from dspdet3d_ros.msg import PruningStats
from dspdet3d_ros.ros.interface.messages import cloud_message
from dspdet3d_ros.ros.tools.client import Client
from dspdet3d_ros.ros.tools.endurance import command, figures
from dspdet3d_ros.ros.tools.endurance.node_under_test import NodeUnderTest
from dspdet3d_ros.ros.tools.endurance.publisher import surfaces
from dspdet3d_ros.ros.tools.node_client import ClientError, NodeProcess, isolate
from dspdet3d_ros.ros.tools.shared_memory import left_over, segments

# Long, for machines that do much else at the same time.
ANSWER_S = 120.0
CLASSES = ((), ("cup",), ("bottle", "book"))
# Threads and descriptors that torch and DDS open as they please; one left by each cycle would be many more.
SPARE = 4
# A run of an hour must get through so many cycles to count as one.
CYCLES_AN_HOUR = {"activated": 1000, "configured": 100}
# Memory is compared under the same work: the answer to this cloud, under these settings.
REFERENCE_POINTS = 5_000
REFERENCE_SETTINGS = {"pruning_threshold": 0.5, "class_filter": [""]}


class Soak(NodeUnderTest):
    """The detector. Samples are taken in state active, when the reference cloud was answered."""

    def __init__(self, client: Client, process: NodeProcess, seed: int) -> None:
        super().__init__(client, process, seed)
        self._client, self._numbers = client, np.random.default_rng(seed)
        self._room = surfaces(100_000)
        self._answered: tuple[int, int] | None = None
        client.on_stats = self._take

    def cycle(self, number: int) -> None:
        """Some clouds under random settings, then a lifecycle cycle; each tenth goes as far as cleanup."""
        threshold, names = self.random.uniform(0.4, 1), list(self.random.choice(CLASSES))
        self.set(pruning_threshold=threshold, class_filter=names or [""])
        for _ in range(self.random.randint(0, 3)):
            message = self._malformed() if self.random.random() < 0.3 else self._valid()
            self._client.publish(message)
        if self.random.random() < 0.5:
            # The other half is deactivated while it works.
            self._finish(self._valid)
        self.change_states(number)
        self.set(**REFERENCE_SETTINGS)
        self._finish(self._reference)
        self.sample()

    def _finish(self, make: Callable[[], PointCloud2]) -> None:
        """Sends such clouds until the answer to one of them comes: the node works after all earlier clouds."""
        end = time.monotonic() + ANSWER_S
        sent: set[tuple[int, int]] = set()
        while self._answered not in sent:
            self.process.check()
            if time.monotonic() > end:
                raise ClientError(f"no result within {ANSWER_S:.0f} s of a valid cloud")
            message = make()
            sent.add((message.header.stamp.sec, message.header.stamp.nanosec))
            self._client.publish(message)
            self._client.wait_for(lambda: self._answered in sent, 2.0)

    def _reference(self) -> PointCloud2:
        self.counts["reference clouds"] += 1
        return cloud_message(Header(stamp=self._client.now(), frame_id="map"), self._room[:REFERENCE_POINTS])

    def _valid(self) -> PointCloud2:
        self.counts["valid clouds"] += 1
        size = self.random.choice((0, 1, 100, 5_000, 30_000, 100_000))
        xyz = self._room[self._numbers.permutation(len(self._room))[:size]] + self._numbers.uniform(-50, 50, 3)
        xyz[self._numbers.random(len(xyz)) < 0.01] = np.nan
        return cloud_message(Header(stamp=self._client.now(), frame_id="map"), xyz.astype(np.float32))

    def _malformed(self) -> PointCloud2:
        self.counts["malformed clouds"] += 1
        message = cloud_message(Header(stamp=self._client.now(), frame_id="map"), self._room[:1000])
        fault = self.random.randrange(5)
        if fault == 0:
            message.data = array("B", bytes(message.data)[:-1])
        elif fault == 1:
            message.width = 2**32 - 1
        elif fault == 2:
            message.fields = message.fields[:2]
        elif fault == 3:
            message.point_step = 0
        else:
            message.fields[0].datatype = self.random.choice((0, 3, 99))
        return message

    def _take(self, stats: PruningStats) -> None:
        self._answered = (stats.header.stamp.sec, stats.header.stamp.nanosec)
        self.counts["results"] += 1


def run(args: argparse.Namespace) -> command.Outcome:
    """Soaks one node, then ends others in every state by both signals.

    Raises:
        ClientError: the node did not answer, refused a transition or a setting, or ended.
    """
    isolate()
    process = NodeProcess(namespace := f"/soak_{os.getpid()}", _parameters(args), args.out / "node.log")
    try:
        client = Client(process, namespace, 180.0)
        client.wait_until_active()
        soak, end, number = Soak(client, process, args.seed), time.monotonic() + args.minutes * 60, 0
        while time.monotonic() < end:
            soak.cycle(number)
            number += 1
        mapped = segments(process.pid)
        client.close()
    finally:
        status = process.stop()
    ends = {f"{state}, {number.name}": _end(args, state, number) for state in args.states for number in SIGNALS}
    values = values_of(args, soak, status, left_over(mapped), ends)
    return command.Outcome(values, soak.samples, soak.latencies, f"{soak.counts['activated']} cycles")


STATES = ("unconfigured", "configuring", "inactive", "active", "working")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _end(args: argparse.Namespace, state: str, number: signal.Signals) -> dict[str, Any]:
    """Exit status of a node that gets a signal in a state, and the shared memory that it leaves behind."""
    namespace = f"/soak_{os.getpid()}_{state}"
    autostart = state in ("configuring", "active", "working")
    process = NodeProcess(namespace, [*_parameters(args), f"autostart:={autostart}".lower()], args.out / "end.log")
    try:
        client = Client(process, namespace, 180.0)
        if state == "configuring":
            # It configures itself at once, which takes seconds, and answers no service meanwhile.
            client.wait_until_there()
        elif autostart:
            client.wait_until_active()
        else:
            client.state()
        if state == "inactive":
            client.change_state(Transition.TRANSITION_CONFIGURE)
        if state == "working":
            # One voxel for almost each point: this takes seconds.
            points = np.random.default_rng(0).uniform(0, 12, (300_000, 3)).astype(np.float32)
            client.publish(cloud_message(Header(stamp=client.now(), frame_id="map"), points))
            client.wait_for(lambda: False, 1.0)
        mapped = segments(process.pid)
        client.close()
    finally:
        status = process.stop(number)
    return ended(status, mapped)


def ended(status: int, mapped: set[str]) -> dict[str, Any]:
    """Exit status of a node, and the shared memory that it leaves behind of what it had mapped."""
    return {"status": status, "shared_memory_left": sorted(left_over(mapped))}


def _parameters(args: argparse.Namespace) -> list[str]:
    return ["input_reliability:=reliable", *args.parameters]


def values_of(
    args: argparse.Namespace, soak: NodeUnderTest, status: int, left: set[str], ends: dict[str, dict]
) -> dict[str, Any]:
    """The report of a run, with its checks.

    Args:
        args: of the command.
        soak: the node.
        status: exit status of the node.
        left: names of shared memory that it left behind.
        ends: results of `ended`, by state and signal.
    """
    samples = soak.samples
    settled = samples[len(samples) // 3]
    memory = figures.memory(samples)
    checks = {
        "no thread left": samples[-1].threads <= settled.threads + SPARE,
        "no file descriptor left": samples[-1].files <= settled.files + SPARE,
        "no shared memory left": not left,
        "exit status 0": status == 0,
        "exit status 0 by each signal in each state": not any(end["status"] for end in ends.values()),
        "no shared memory left by them": not any(end["shared_memory_left"] for end in ends.values()),
    }
    if args.minutes >= figures.JUDGED_MINUTES:
        checks["memory does not grow beyond noise"] = memory["within_noise"]
    if args.minutes >= 60:
        for what, least in CYCLES_AN_HOUR.items():
            checks[f"{what} {least} times"] = soak.counts[what] >= least
    return {
        "minutes": args.minutes,
        "seed": args.seed,
        "done": dict(soak.counts),
        "transitions_ms": figures.percentiles([ms for _, ms in soak.latencies]),
        "activated_per_hour": soak.counts["activated"] / args.minutes * 60,
        "memory": memory,
        "threads": {"after_warm_up": settled.threads, "at_end": samples[-1].threads},
        "files": {"after_warm_up": settled.files, "at_end": samples[-1].files},
        "shared_memory_left": sorted(left),
        "ends": ends,
        "checks": checks,
    }


def main(argv: list[str] | None = None) -> int:
    """Runs, writes soak.json and soak.png; status 1 where a check fails."""
    parser = command.arguments("soak", "the real node over many clouds, settings and lifecycle cycles", minutes=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--states", nargs="+", choices=STATES, default=STATES, help="in which nodes are ended")
    return command.run(parser, run, argv)


if __name__ == "__main__":
    sys.exit(main())
