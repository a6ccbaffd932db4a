"""What a run computes: its multiply-adds, and how long its kernel maps alone take."""

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
from dspdet3d_ros.tools.benchmark.arithmetic import Convolution, Recorder, head_multiply_adds
from dspdet3d_ros.tools.benchmark.samples import milliseconds


@dataclass(frozen=True)
class Work:
    """What a run of the network computes on a cloud.

    Attributes:
        convolutions: the sparse convolutions, in order.
        products: multiply-adds of the head's matrix products, by stage.
    """

    convolutions: tuple[Convolution, ...]
    products: dict[str, int]

    def by_stage(self) -> dict[str, int]:
        """Multiply-adds by stage."""
        counts: dict[str, int] = {}
        for convolution in self.convolutions:
            counts[convolution.stage] = counts.get(convolution.stage, 0) + convolution.multiply_adds
        return {stage: count + self.products.get(stage, 0) for stage, count in counts.items()}


def work_of(detector: Detector, xyz: np.ndarray, settings: DetectionSettings) -> Work:
    """Runs the detector once and takes note of its work.

    Args:
        detector: the model.
        xyz: (N, 3) metres.
        settings: τ and the bound on cells.
    """
    recorder = Recorder(detector.engine)
    found = detector.on(recorder)(xyz, settings, recorder.lap)
    return Work(tuple(recorder.convolutions), head_multiply_adds(found.stats.levels, detector.config))


def map_milliseconds(
    convolutions: Sequence[Convolution], device: torch.device, backend: str = "torch"
) -> dict[str, float]:
    """How long the coordinate sets and kernel maps of a run take, by the stage that needs them first.

    `backend` says whose maps: "native", "torch" or "triton".
    """
    make_map = _map_maker(backend)
    made: dict[int, CoordinateSet] = {}
    seen: set[tuple[int, int, int]] = set()
    spent: dict[str, float] = {}

    def make(one: Convolution) -> None:
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
        # Only here: it imports Triton.
        from dspdet3d_ros.sparse.triton.plan import plan_of

        return plan_of
    if backend == "native":
        from dspdet3d_ros.sparse.native.maps import search

        return partial(kernel_map, search=search)
    return kernel_map
