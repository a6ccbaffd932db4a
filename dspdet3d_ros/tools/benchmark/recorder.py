"""Records the sparse convolutions of a run, and counts the multiply-adds that any engine needs for them."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.result import LevelCells
from dspdet3d_ros.sparse import CoordinateSet, Engine
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.sparse.coords import kernel_size
from dspdet3d_ros.sparse.kernel_map import kernel_map

#: Values that the head predicts per box: centre and size.
_BOX_NUMBERS = 6


@dataclass(frozen=True)
class RecordedConvolution:
    """One sparse convolution of a run.

    Attributes:
        stage: stage of the network, named as in its laps.
        inputs, outputs: coordinate sets without cached maps. Equal sets of a run are the same object.
        volume: number of kernel offsets.
        c_in, c_out: channels.
        pairs: number of (input, output) pairs.
    """

    stage: str
    inputs: CoordinateSet
    outputs: CoordinateSet
    volume: int
    c_in: int
    c_out: int
    pairs: int

    @property
    def kind(self) -> str:
        """Type of the convolution, kernel size and channels."""
        if self.inputs.stride == self.outputs.stride:
            sort = "submanifold"
        else:
            sort = "stride 2" if self.inputs.stride < self.outputs.stride else "generative"
        return f"{sort} {kernel_size(self.volume)}³ {self.c_in}→{self.c_out}"

    @property
    def multiply_adds(self) -> int:
        """Pairs times C_in times C_out."""
        return self.pairs * self.c_in * self.c_out


@dataclass
class Recorder:
    """An engine that records each convolution and passes it on to another engine.

    Attributes:
        engine: computes the results.
        convolutions: the recorded convolutions in order. Each belongs to the stage of the next `lap`.
    """

    engine: Engine
    convolutions: list[RecordedConvolution] = field(default_factory=list)
    _since: list[tuple[CoordinateSet, CoordinateSet, tuple[int, ...]]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the engine that computes."""
        return self.engine.name

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def convolve(
        self,
        features: Tensor,
        weight: Tensor,
        inputs: CoordinateSet,
        outputs: CoordinateSet,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        """See `Engine.convolve`."""
        if len(weight) > 1 or inputs is not outputs:
            self._since.append((inputs, outputs, tuple(weight.shape)))
        return self.engine.convolve(features, weight, inputs, outputs, epilogue)

    def lap(self, stage: str) -> None:
        """Assigns all convolutions since the last lap to `stage`."""
        for inputs, outputs, (volume, c_in, c_out) in self._since:
            pairs = _pairs(inputs, outputs, volume)
            bare = (_bare(inputs), _bare(outputs))
            self.convolutions.append(RecordedConvolution(stage, *bare, volume, c_in, c_out, pairs))
        self._since.clear()


def _pairs(inputs: CoordinateSet, outputs: CoordinateSet, volume: int) -> int:
    return outputs.cached(("pairs", weakref.ref(inputs), volume), lambda: kernel_map(inputs, outputs, volume).pairs())


def _bare(cells: CoordinateSet) -> CoordinateSet:
    """The same cells without the cached maps, which may take gigabytes."""
    return cells.cached("bare", lambda: CoordinateSet(cells.keys, cells.stride))


def head_multiply_adds(levels: Sequence[LevelCells], config: ModelConfig) -> dict[str, int]:
    """Multiply-adds of the head's matrix products by stage: boxes, classes and, from level 1 up, pruning."""
    counts = {}
    for cells in levels:
        channels = config.head_width * (_BOX_NUMBERS + len(config.classes))
        if cells.level:
            channels += config.widths[cells.level]
        counts[f"level{cells.level}"] = cells.before * channels
    return counts
