"""Multiply-adds of a run, and the time that its kernel maps take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.result import DetectionSettings
from dspdet3d_ros.sparse import CoordinateSet
from dspdet3d_ros.sparse.kernel_map import kernel_map
from dspdet3d_ros.tools.benchmark.recorder import RecordedConvolution, Recorder, head_multiply_adds
from dspdet3d_ros.tools.benchmark.samples import milliseconds


@dataclass(frozen=True)
class FlopCount:
    """The arithmetic of one run of the network.

    Attributes:
        convolutions: the sparse convolutions, in order.
        head_products: multiply-adds of the head's matrix products, by stage.
    """

    convolutions: tuple[RecordedConvolution, ...]
    head_products: dict[str, int]

    def by_stage(self) -> dict[str, int]:
        """Multiply-adds by stage."""
        counts: dict[str, int] = {}
        for convolution in self.convolutions:
            counts[convolution.stage] = counts.get(convolution.stage, 0) + convolution.multiply_adds
        return {stage: count + self.head_products.get(stage, 0) for stage, count in counts.items()}


def count_flops(detector: Detector, xyz: np.ndarray, settings: DetectionSettings) -> FlopCount:
    """Runs the detector once and counts its arithmetic.

    Args:
        detector: the model.
        xyz: (N, 3) metres.
        settings: τ and the bound on cells.
    """
    recorder = Recorder(detector.engine)
    detections = detector.on(recorder)(xyz, settings, recorder.lap)
    return FlopCount(tuple(recorder.convolutions), head_multiply_adds(detections.stats.levels, detector.config))


def map_milliseconds(
    convolutions: Sequence[RecordedConvolution], device: torch.device, backend: str = "torch"
) -> dict[str, float]:
    """Time of the coordinate sets and kernel maps of a run, by the stage that needs them first.

    Args:
        convolutions: those of a run.
        device: where to run.
        backend: whose maps: "native", "torch" or "triton".
    """
    make_map = _map_maker(backend)
    made: dict[int, CoordinateSet] = {}
    seen: set[tuple[int, int, int]] = set()
    spent: dict[str, float] = {}

    def make(one: RecordedConvolution) -> None:
        inputs = made.setdefault(id(one.inputs), type(one.inputs)(one.inputs.keys, one.inputs.stride))
        outputs = inputs.at_stride(one.outputs.stride)
        made.setdefault(id(one.outputs), outputs)
        make_map(inputs, outputs, one.volume)

    for one in convolutions:
        key = (id(one.inputs), id(one.outputs), one.volume)
        if key not in seen:
            seen.add(key)
            spent[one.stage] = spent.get(one.stage, 0.0) + milliseconds(partial(make, one), device)
    return spent


def _map_maker(backend: str) -> Callable[[CoordinateSet, CoordinateSet, int], object]:
    if backend == "triton":
        # Imported here because it imports Triton.
        from dspdet3d_ros.sparse.triton.plan import plan_of

        return plan_of
    if backend == "native":
        from dspdet3d_ros.sparse.native.maps import search

        return partial(kernel_map, search=search)
    return kernel_map
