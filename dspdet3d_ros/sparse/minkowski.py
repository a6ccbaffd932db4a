"""Convolutions on MinkowskiEngine 0.5, for users who have it; nothing else needs it."""

from __future__ import annotations

import collections
import collections.abc
import importlib
import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.sparse.coords import CoordinateSet, kernel_size, pack
from dspdet3d_ros.sparse.torch_rows import TorchRows

INSTALL = (
    "`apt install libopenblas-dev`, "
    "`pip install MinkowskiEngine==0.5.4 --no-build-isolation --use-pep517 -C--global-option=--blas=openblas`"
)
_DIMENSION = 3


class MinkowskiBackend(TorchRows):
    """An `Engine` whose convolutions MinkowskiEngine computes, on coordinate maps of its own.

    Weights need no conversion: kernel offsets are in the same order. Rows do: where its maps have another order than
    our sorted sets, they are permuted on the way in and out.

    Args:
        device: of the features; the build of MinkowskiEngine must support it.

    Raises:
        InputError: MinkowskiEngine is missing, cannot be loaded, or was built without CUDA and `device` is CUDA.
    """

    name = "minkowski"
    coordinate_set = CoordinateSet
    storage = torch.float32

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._engine, self._native = _load()
        self._numbers = itertools.count()
        if torch.device(device).type == "cuda" and not self._engine.is_cuda_available():
            raise InputError(
                f"backend minkowski: this MinkowskiEngine was built without CUDA, got device {device}; "
                "use device cpu or backend torch"
            )

    def convolve(
        self,
        features: Tensor,
        weight: Tensor,
        inputs: CoordinateSet,
        outputs: CoordinateSet,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        """See `Engine.convolve`."""
        if not len(inputs) or (len(weight) == 1 and outputs is inputs):
            # MinkowskiEngine makes no maps without coordinates; its own layer also computes this convolution as a
            # matrix product.
            rows = features @ weight[0]
        else:
            rows = self._convolve(features, weight, inputs, outputs)
        return rows if epilogue is None else epilogue.apply_to(rows)

    def _convolve(self, features: Tensor, weight: Tensor, inputs: CoordinateSet, outputs: CoordinateSet) -> Tensor:
        source = inputs.cached(self.name, lambda: self._insert(inputs, self._new_manager(inputs)))
        target = self._target(source, inputs, outputs)
        generative = 2 * outputs.stride == inputs.stride
        stride = 2 if generative else outputs.stride // inputs.stride
        kernel = self._engine.KernelGenerator(
            kernel_size(len(weight)), stride=stride, expand_coordinates=generative, dimension=_DIMENSION
        )
        function = (
            self._engine.MinkowskiConvolutionTransposeFunction
            if generative
            else self._engine.MinkowskiConvolutionFunction
        )
        rows = function.apply(
            features.index_select(0, source.our_rows),
            weight.contiguous(),
            kernel,
            self._native.ConvolutionMode.DEFAULT,
            source.key,
            target.key,
            source.manager,
        )
        return rows.index_select(0, target.its_rows)

    def _new_manager(self, cells: CoordinateSet) -> Any:
        types = self._engine.CoordinateMapType
        return self._engine.CoordinateManager(
            D=_DIMENSION,
            # It sets this number in OpenMP for the whole process: another number would change that of torch.
            num_threads=torch.get_num_threads(),
            coordinate_map_type=types.CUDA if cells.keys.is_cuda else types.CPU,
        )

    def _insert(self, cells: CoordinateSet, manager: Any) -> _Map:
        coords = cells.coords.int().contiguous()
        key, _ = manager.insert_and_map(coords, [cells.stride] * _DIMENSION, "")
        return _Map(cells.keys, key, manager)

    def _target(self, source: _Map, inputs: CoordinateSet, outputs: CoordinateSet) -> _Map:
        """The map of the outputs in the inputs' manager."""

        def make() -> _Map:
            if inputs.stride == outputs.stride:
                return self._insert(outputs, source.manager)
            if inputs.stride < outputs.stride:
                # A name of its own: under the default one a map of that stride may be there, of other coordinates.
                key = source.manager.stride(source.key, 2, f"coarse {next(self._numbers)}")
            else:
                # Not set yet: the convolution makes new coordinates and sets it.
                key = self._engine.CoordinateMapKey(_DIMENSION + 1)
            return _Map(outputs.keys, key, source.manager)

        target = outputs.cached(self.name, make)
        if target.manager is source.manager:
            return target
        # The outputs were inputs before, under a manager of their own. The map holds `source.manager`: its id stays.
        return outputs.cached((self.name, id(source.manager)), make)


class _Map:
    """A coordinate set as MinkowskiEngine has it.

    Attributes:
        key: names the coordinate map in the manager.
        manager: the `CoordinateManager` that holds it.
    """

    def __init__(self, keys: Tensor, key: Any, manager: Any) -> None:
        # The set's keys, not the set: the set holds this map, and a circle would outlive its last user.
        self._keys = keys
        self.key = key
        self.manager = manager

    @cached_property
    def its_rows(self) -> Tensor:
        """(N,) the engine's row of each of our rows; known once the map has its coordinates."""
        keys, rows = torch.sort(pack(self.manager.get_coordinates(self.key).long()))
        if not torch.equal(keys, self._keys):
            raise RuntimeError(
                f"MinkowskiEngine made {len(keys)} cells where {len(self._keys)} were expected, or others than those"
            )
        return rows

    @cached_property
    def our_rows(self) -> Tensor:
        """(N,) our row of each of the engine's rows."""
        rows = torch.empty_like(self.its_rows)
        rows[self.its_rows] = torch.arange(len(rows), device=rows.device)
        return rows


@contextmanager
def _old_collections() -> Iterator[None]:
    """Gives `collections` the names that Python 3.10 moved to `collections.abc`, and takes them away again.

    MinkowskiEngine 0.5.4 still imports them from there. Only its import may see them: other libraries tell old Pythons
    by these names.
    """
    names = [name for name in ("Callable", "Iterable", "Mapping", "Sequence") if not hasattr(collections, name)]
    for name in names:
        setattr(collections, name, getattr(collections.abc, name))
    try:
        yield
    finally:
        for name in names:
            delattr(collections, name)


def _load() -> tuple[ModuleType, ModuleType]:
    """MinkowskiEngine and its native library.

    Raises:
        InputError: it is missing or cannot be loaded.
    """
    try:
        with _old_collections(), warnings.catch_warnings():
            # What a build without CUDA cannot do is refused where it is asked for.
            warnings.filterwarnings("ignore", message="The MinkowskiEngine was compiled with CPU_ONLY")
            return importlib.import_module("MinkowskiEngine"), importlib.import_module("MinkowskiEngineBackend._C")
    except ModuleNotFoundError as error:
        raise InputError(
            f"backend minkowski: Python module {error.name} is missing; install it with {INSTALL}; or use backend torch"
        ) from error
    except Exception as error:  # a native library may raise errors of any type
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"backend minkowski: MinkowskiEngine cannot be loaded: {reason}; fix that, or build it again for this "
            f"Python and torch {torch.__version__} with {INSTALL}; or use backend torch"
        ) from error
