"""Latency of the ROS node, from the arrival of a cloud message to its published boxes. The node has its own process."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.pipeline.worker import REST_S
from dspdet3d_ros.ros.tools.client import Client
from dspdet3d_ros.ros.tools.node_client import ClientError, NodeProcess, isolate
from dspdet3d_ros.system import memory_bytes, process_status
from dspdet3d_ros.tools.benchmark.benchmark_scene import BenchmarkScene
from dspdet3d_ros.tools.benchmark.repeats import NETWORK_STAGES
from dspdet3d_ros.tools.benchmark.samples import summary

_TIMEOUT_S = 180.0
#: By then a node without clouds has returned its freed memory.
_REST_S = REST_S + 1


def measure_node(parameters: dict[str, Any], scene: BenchmarkScene, repeats: int, warmup: int) -> dict[str, Any]:
    """Sends one cloud several times, and collects the statistics that the node publishes.

    Args:
        parameters: parameters of the node.
        scene: the cloud.
        repeats: number of measured clouds.
        warmup: number of clouds before those.

    Returns:
        Milliseconds from arrival to publication (`latency_ms`), in the network (`network_ms`), and the fraction of the
        latency outside the network; milliseconds from the start of the process to its first result (`start_ms`), and
        its resident memory when no more clouds come (`rest_mb`, None where the system does not report it).

    Raises:
        InputError: the node does not start or does not answer.
    """
    isolate()
    namespace = f"/benchmark_{os.getpid()}"
    arguments = [f"{name}:={value}" for name, value in {**parameters, "input_reliability": "reliable"}.items()]
    with tempfile.TemporaryDirectory(prefix="dspdet3d_benchmark_") as folder:
        log = Path(folder) / "node.log"
        log.touch()
        begin = time.perf_counter()
        process = NodeProcess(namespace, arguments, log)
        try:
            client = Client(process, namespace, _TIMEOUT_S)
            try:
                client.wait_until_active()
                client.detect(scene.cloud)
                start_ms = (time.perf_counter() - begin) * 1e3
                samples = [_sample(client, scene) for _ in range(warmup + repeats)][warmup:]
                time.sleep(_REST_S)
                rest_mb = _resident_mb(process.pid)
            finally:
                client.close()
        except ClientError as error:
            raise InputError(f"--node: {error}") from error
        finally:
            process.stop()
    shares = [1 - network / latency for latency, network in samples]
    return {
        "points": len(scene.cloud.xyz),
        "latency_ms": summary([latency for latency, _ in samples]),
        "network_ms": summary([network for _, network in samples]),
        "share_outside_network": summary(shares),
        "start_ms": start_ms,
        "rest_mb": rest_mb,
    }


def _sample(client: Client, scene: BenchmarkScene) -> tuple[float, float]:
    """Latency and time in the network of one cloud, milliseconds."""
    found, header = client.detect(scene.cloud)
    network = sum(found.stats.stage_ms.get(stage, 0.0) for stage in NETWORK_STAGES)
    return client.latency_ms(header), network


def _resident_mb(pid: int) -> float | None:
    try:
        return memory_bytes(process_status(pid), "VmRSS") / 1e6
    except (OSError, KeyError):
        return None


def table(values: dict[str, Any]) -> str:
    """One line."""
    return (
        f"node, {values['points']} points: {values['latency_ms']['median']:.0f} ms from arrival to publication, "
        f"{values['network_ms']['median']:.0f} of them in the network, "
        f"{values['share_outside_network']['median']:.1%} outside; "
        f"{values['start_ms'] / 1e3:.1f} s from the start of the process to the first result, "
        f"{'unknown' if values['rest_mb'] is None else format(values['rest_mb'], '.0f')} MB at rest"
    )
