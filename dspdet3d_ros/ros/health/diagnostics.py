"""The node's health on /diagnostics, once a second, in every state."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.duration import Duration
from rclpy.node import Node

from dspdet3d_ros.ros.faults import FaultLog, Level
from dspdet3d_ros.ros.health.no_output import NoOutputDiagnosis
from dspdet3d_ros.ros.pipeline.pipeline import gpu_memory_bytes
from dspdet3d_ros.ros.pipeline.processing import Processing
from dspdet3d_ros.ros.results import LastResult
from dspdet3d_ros.system import memory_bytes, process_status

if TYPE_CHECKING:
    from dspdet3d_ros.detector.predictor import Detector

# A global name, unlike those of the other topics: every diagnostic tool expects this one.
TOPIC = "/diagnostics"
PERIOD_S = 1.0
# Fast DDS asks for acknowledgements every 3 seconds.
LAST_WORDS_S = 4


@dataclass(frozen=True)
class Health:
    """The data of the diagnostics.

    Attributes:
        state: the node's lifecycle state.
        faults: what went wrong.
        no_output: why nothing is published.
        pruning_threshold: τ for the next cloud.
        detector: the loaded model, if any.
        processing: takes and processes clouds, if the node is configured.
        input_qos: policies of the subscription of clouds; empty if there is none.
    """

    state: str
    faults: FaultLog
    no_output: NoOutputDiagnosis
    pruning_threshold: float
    detector: "Detector | None"
    processing: Processing | None
    input_qos: str = ""


class Diagnostics:
    """Publishes a node's health.

    Args:
        node: the node.
        describe: makes its present status.
    """

    def __init__(self, node: Node, describe: Callable[[], DiagnosticStatus]) -> None:
        self._node, self._describe = node, describe
        self._publisher = node.create_publisher(DiagnosticArray, TOPIC, 10)

    def status(self) -> DiagnosticStatus:
        """The present health."""
        return self._describe()

    def publish(self) -> None:
        """Publishes the present health."""
        array = DiagnosticArray(status=[self.status()])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def publish_last(self) -> None:
        """Publishes the present health and waits for its delivery, before the process ends."""
        self.publish()
        self._publisher.wait_for_all_acked(Duration(seconds=LAST_WORDS_S))


def status_message(name: str, health: Health) -> DiagnosticStatus:
    """The status of the detector; see `compose_status`."""
    values = [("pruning_threshold", f"{health.pruning_threshold:g}")]
    values += [*_model_values(health.detector), ("input_qos", health.input_qos or "none")]
    values += _cloud_values(health.processing)
    device = health.detector.device if health.detector else ""
    return compose_status(f"{name}: detector", health.state, health.faults, health.no_output, values, device)


def compose_status(
    title: str,
    state: str,
    faults: FaultLog,
    no_output: NoOutputDiagnosis,
    values: Sequence[tuple[str, str]],
    device: str,
) -> DiagnosticStatus:
    """One status with all figures as text.

    Level and message are those of the most severe of the latest fault, the no-output reason and the remarks.

    Args:
        title: name of the status.
        state: the node's lifecycle state.
        faults: what went wrong.
        no_output: why nothing is published.
        values: figures of the node, by name.
        device: where it computes.
    """
    present = [faults.present, no_output.present, *faults.remarks]
    fault = max((fault for fault in present if fault), key=lambda fault: fault.level, default=None)
    level, message = (Level.OK, state) if fault is None else (fault.level, f"{state}; {fault}")
    every = [("state", state), *values]
    every += [(f"faults of kind {kind}", str(number)) for kind, number in sorted(faults.counts.items())]
    every += [(f"remark of kind {remark.kind}", remark.text) for remark in faults.remarks]
    every += [("memory_mb", f"{resident_bytes() / 1e6:.1f}"), ("gpu_memory_mb", f"{gpu_memory_bytes() / 1e6:.1f}")]
    return DiagnosticStatus(
        level=bytes([level]),
        name=title,
        message=message,
        hardware_id=device,
        values=[KeyValue(key=key, value=value) for key, value in every],
    )


def resident_bytes() -> int:
    """Main memory that this process occupies; 0 if the system does not say."""
    try:
        return memory_bytes(process_status(), "VmRSS")
    except (OSError, KeyError):
        return 0


def _model_values(detector: "Detector | None") -> list[tuple[str, str]]:
    if detector is None:
        return [("model", "none")]
    return [
        ("model", detector.model_name),
        ("weights_sha256", detector.checkpoint_sha256),
        ("device", detector.device),
        ("backend", detector.backend),
    ]


def _cloud_values(processing: Processing | None) -> list[tuple[str, str]]:
    if processing is None:
        return []
    now, traffic, counts = time.monotonic(), processing.traffic, processing.worker.counts
    last = traffic.last_arrival_s
    return [
        ("last_cloud_age_s", "none yet" if last is None else f"{now - last:.1f}"),
        ("rate_hz", f"{traffic.rate_hz(now):.2f}"),
        ("latency_p50_ms", _number(traffic.latency_ms(50))),
        ("latency_p95_ms", _number(traffic.latency_ms(95))),
        ("clouds_received", str(counts.received)),
        ("clouds_processed", str(counts.processed)),
        ("clouds_lost", str(traffic.lost)),
        ("clouds_dropped", str(counts.dropped)),
        ("clouds_refused", str(counts.refused)),
        ("clouds_ignored", str(counts.ignored)),
        ("clouds_waiting", str(counts.waiting)),
        ("subscribers", ", ".join(f"{name}: {n}" for name, n in processing.outputs.subscribers.items())),
        ("points_out_of_range", _points_out_of_range(processing.last_result)),
    ]


def _points_out_of_range(result: LastResult | None) -> str:
    return "none yet" if result is None else str(result.stats.points_out_of_range)


def _number(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.1f}"
