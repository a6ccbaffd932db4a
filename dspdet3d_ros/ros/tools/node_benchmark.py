"""Latency of the ROS node, from the arrival of a cloud message to its published boxes. The node has its own process."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.tools.client import Client, ClientError, NodeProcess, isolate
from dspdet3d_ros.tools.benchmark.benchmark_scene import BenchmarkScene
from dspdet3d_ros.tools.benchmark.repeats import NETWORK_STAGES
from dspdet3d_ros.tools.benchmark.samples import summary

_TIMEOUT_S = 180.0


def measure_node(parameters: dict[str, Any], scene: BenchmarkScene, repeats: int, warmup: int) -> dict[str, Any]:
    """Sends one cloud several times, and collects the statistics that the node publishes.

    Args:
        parameters: parameters of the node.
        scene: the cloud.
        repeats: number of measured clouds.
        warmup: number of clouds before those.

    Returns:
        Milliseconds from arrival to publication (`latency_ms`), in the network (`network_ms`), and the fraction of the
        latency outside the network.

    Raises:
        InputError: the node does not start or does not answer.
    """
    isolate()
    namespace = f"/benchmark_{os.getpid()}"
    arguments = [f"{name}:={value}" for name, value in {**parameters, "input_reliability": "reliable"}.items()]
    with tempfile.TemporaryDirectory(prefix="dspdet3d_benchmark_") as folder:
        log = Path(folder) / "node.log"
        log.touch()
        process = NodeProcess(namespace, arguments, log)
        try:
            samples = _samples(Client(process, namespace, _TIMEOUT_S), scene, repeats, warmup)
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
    }


def _samples(client: Client, scene: BenchmarkScene, repeats: int, warmup: int) -> list[tuple[float, float]]:
    """(latency, time in the network) of each measured cloud, milliseconds."""
    cloud, samples = scene.cloud, []
    try:
        client.wait_until_active()
        for _ in range(warmup + repeats):
            found, header = client.detect(cloud)
            network = sum(found.stats.stage_ms.get(stage, 0.0) for stage in NETWORK_STAGES)
            samples.append((client.latency_ms(header), network))
    finally:
        client.close()
    return samples[warmup:]


def table(values: dict[str, Any]) -> str:
    """One line."""
    return (
        f"node, {values['points']} points: {values['latency_ms']['median']:.0f} ms from arrival to publication, "
        f"{values['network_ms']['median']:.0f} of them in the network, "
        f"{values['share_outside_network']['median']:.1%} outside"
    )
