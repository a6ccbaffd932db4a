"""`make load`: clouds as fast as the machine gives, while a client asks for parameters and states.

Three processes: the real node, a publisher, and this one, which asks and counts.
"""

import argparse
import os
import subprocess
import sys
import time
from typing import Any

from lifecycle_msgs.msg import Transition

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.msg import PruningStats
from dspdet3d_ros.ros.tools.client import Client
from dspdet3d_ros.ros.tools.endurance import command, figures
from dspdet3d_ros.ros.tools.endurance.process_sample import ProcessSample, sample_process
from dspdet3d_ros.ros.tools.endurance.publisher import surfaces
from dspdet3d_ros.ros.tools.node_client import ClientError, NodeProcess, isolate

ANSWER_MS = 100.0
BETWEEN_CALLS_S = 0.05
QUIET_S = 20.0
BYTES_PER_POINT = 16


class Watch:
    """The answers of the node.

    Attributes:
        last: the latest statistics.
        results: how many came.
        unordered: how many had a stamp that was not newer than the one before.
    """

    def __init__(self) -> None:
        self.last: PruningStats | None = None
        self.results = self.unordered = 0

    def __call__(self, stats: PruningStats) -> None:
        """Takes the next statistics."""
        stamp = (stats.header.stamp.sec, stats.header.stamp.nanosec)
        if self.last and stamp <= (self.last.header.stamp.sec, self.last.header.stamp.nanosec):
            self.unordered += 1
        self.last = stats
        self.results += 1


def ask(
    client: Client, process: NodeProcess, publisher: subprocess.Popen
) -> tuple[list[ProcessSample], dict[str, list]]:
    """Calls services in turn until the publisher ends; samples of the node once a second, and times by service."""
    samples: list[ProcessSample] = [sample_process(process.pid)]
    calls: dict[str, list[tuple[float, float]]] = {"set_parameters": [], "get_state": []}
    number = 0
    while publisher.poll() is None:
        name = ("set_parameters", "get_state")[number % 2]
        start = time.monotonic()
        if name == "get_state":
            client.state()
        else:
            client.set_parameters(pruning_threshold=0.4 + 0.01 * (number % 20))
        calls[name].append((start, (time.monotonic() - start) * 1e3))
        number += 1
        if start - samples[-1].time_s >= 1:
            samples.append(sample_process(process.pid))
        client.wait_for(lambda: False, BETWEEN_CALLS_S)
    return samples, calls


def measure(args: argparse.Namespace) -> command.Outcome:
    """Runs node, publisher and client.

    Raises:
        ClientError: the node did not start, did not answer or ended with an error.
    """
    isolate()
    namespace = f"/load_{os.getpid()}"
    process = NodeProcess(namespace, ["input_reliability:=reliable", *args.parameters], args.out / "node.log")
    try:
        client = Client(process, namespace, 180.0)
        client.wait_until_active()
        client.detect(PointCloud(surfaces(args.points)))
        # Counting starts again with the publisher's clouds.
        client.change_state(Transition.TRANSITION_DEACTIVATE)
        client.change_state(Transition.TRANSITION_ACTIVATE)
        before, watch = sample_process(process.pid), Watch()
        client.on_stats = watch
        publish = [sys.executable, "-m", "dspdet3d_ros.ros.tools.endurance.publisher", client.cloud_topic]
        publish += ["--hertz", str(args.hertz), "--points", str(args.points), "--seconds", str(args.minutes * 60)]
        with subprocess.Popen(publish, stdout=subprocess.PIPE, text=True) as publisher:
            samples, calls = ask(client, process, publisher)
            sent = int(publisher.communicate()[0])
        client.wait_for(lambda: watch.last and _settled(watch.last), QUIET_S)
        client.wait_for(lambda: False, 1.0)
        client.close()
    finally:
        status = process.stop()
    if watch.last is None:
        raise ClientError("no result came back")
    values = _values(args, sent, watch, calls, samples, before, status)
    title = f"{args.points} points at {values['hertz_sent']:.1f} Hz"
    return command.Outcome(values, samples, [call for own in calls.values() for call in own], title)


def _settled(stats: PruningStats) -> bool:
    done = stats.clouds_processed + stats.clouds_dropped + stats.clouds_refused
    return stats.clouds_received == done


def _values(
    args: argparse.Namespace,
    sent: int,
    watch: Watch,
    calls: dict[str, list],
    samples: list[ProcessSample],
    before: ProcessSample,
    status: int,
) -> dict[str, Any]:
    last = watch.last
    counts = {name: getattr(last, f"clouds_{name}") for name in ("received", "processed", "dropped", "refused")}
    answers = {name: figures.percentiles([ms for _, ms in own]) for name, own in calls.items()}
    memory = figures.memory(samples)
    checks = {
        "received = processed + dropped + refused": _settled(last),
        "every result came once": watch.results == counts["processed"],
        "results have ever newer stamps": watch.unordered == 0,
        f"answers within {ANSWER_MS:.0f} ms at p99": all(own["p99"] <= ANSWER_MS for own in answers.values()),
        "exit status 0": status == 0,
    }
    if args.minutes >= figures.JUDGED_MINUTES:
        checks["memory does not grow beyond noise"] = memory["within_noise"]
    return {
        "minutes": args.minutes,
        "points": args.points,
        "hertz_asked": args.hertz,
        "hertz_sent": sent / (args.minutes * 60),
        "clouds": {"sent": sent, "not_taken": sent - counts["received"], **counts},
        "answers_ms": answers,
        "memory": memory,
        "one_cloud_mb": args.points * BYTES_PER_POINT / 2**20,
        "resident_before_mb": before.resident_mb,
        "checks": checks,
    }


def main(argv: list[str] | None = None) -> int:
    """Runs, writes load.json and load.png; status 1 where a check fails."""
    parser = command.arguments("load", "the real node under load", minutes=10.0)
    parser.add_argument("--hertz", type=float, default=50.0)
    parser.add_argument("--points", type=int, default=500_000)
    return command.run(parser, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
