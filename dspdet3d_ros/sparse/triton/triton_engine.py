"""The Triton engine; this module itself can be imported without Triton."""

from __future__ import annotations

import importlib
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.sparse.convolution import Epilogue, convolve, wants_gradient
from dspdet3d_ros.sparse.coords import CoordinateSet
from dspdet3d_ros.sparse.kernel_map import kernel_map
from dspdet3d_ros.sparse.torch_rows import TorchRows
from dspdet3d_ros.sparse.triton.tuning import Configuration, Tuner, blocks, candidates, measure_on_cuda, tuning_key

if TYPE_CHECKING:
    from dspdet3d_ros.sparse.triton.plan import Plan

#: The first version with which `.ci/triton_versions` compiles the kernels.
OLDEST_TRITON = (3, 2)
#: Compute capability of the first GPUs that the kernels are compiled for in the tests (Ampere).
OLDEST_GPU = (8, 0)


def interpreted() -> bool:
    """Whether Triton's interpreter stands in for a GPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def installed_version() -> str:
    """The version of the installed Triton.

    Raises:
        ImportError: there is none.
    """
    return importlib.import_module("triton").__version__


def why_not(device: torch.device | str) -> str | None:
    """Why the engine cannot serve the device, in a few words, or None."""
    device = torch.device(device)
    if device.type != "cuda" and not interpreted():
        return f"it needs a CUDA device, this is {device.type}"
    try:
        installed = installed_version()
    except Exception as error:  # a broken installation raises anything
        return f"Triton cannot be imported ({text_of(error)[:100]})"
    version = tuple(int(part) for part in installed.split(".")[:2])
    if version < OLDEST_TRITON:
        return f"Triton {installed} is older than {'.'.join(map(str, OLDEST_TRITON))}"
    if device.type == "cuda" and torch.version.hip is None and torch.cuda.get_device_capability(device) < OLDEST_GPU:
        return f"{torch.cuda.get_device_name(device)} is older than compute capability {OLDEST_GPU[0]}.{OLDEST_GPU[1]}"
    return no_launcher() or no_cache() if device.type == "cuda" else None


def cache_folder() -> Path:
    """The folder in which Triton keeps what it compiles.

    Raises:
        RuntimeError: there is no home folder.
    """
    return Path(os.environ.get("TRITON_CACHE_DIR") or Path("~/.triton/cache").expanduser())


def no_cache() -> str | None:
    """Why Triton cannot keep what it compiles, or None."""
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except (OSError, RuntimeError) as error:
        return f"Triton cannot write its cache ({text_of(error)[:100]}); set TRITON_CACHE_DIR to a folder of yours"


def no_launcher() -> str | None:
    """Why Triton cannot make the small C extension that launches its kernels (triton/runtime/build.py), or None."""
    compilers = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang"]
    if not any(map(shutil.which, compilers)):
        return f"Triton needs a C compiler, and there is no {' or '.join(compilers)} (apt install gcc)"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        return f"Triton needs Python's headers, and there is no {header} (apt install python3-dev)"
    return None


class TritonEngine(TorchRows):
    """Masked implicit GEMM on CUDA; while gradients are wanted, plain torch.

    Args:
        device: the CUDA device, or the CPU under Triton's interpreter.
        storage: type of the features that come out, float16 or float32. Features that go in keep their own type, and
            weights take it, so that the first convolution still sees coordinates in float32.
        tune: time the tile sizes of each kind of convolution once; otherwise the first ones are used.

    Raises:
        InputError: the device or the installation is not sufficient.
    """

    name = "triton"

    def __init__(self, device: torch.device | str, storage: torch.dtype = torch.float16, tune: bool = True) -> None:
        reason = why_not(device)
        if reason is not None:
            raise InputError(f"backend triton: {reason}; use backend torch or auto")
        # Imported here, because these import Triton.
        from dspdet3d_ros.sparse.triton import kernels, plan

        self._kernel = kernels.masked_gemm
        self.plan = plan.plan_of
        self.coordinate_set = plan.PlannedCoordinateSet
        self.storage = storage
        measure: Callable[[Callable[[], None]], float] | None = None
        unfit: tuple[type[Exception], ...] = ()
        if tune and not interpreted():
            from triton.runtime.errors import OutOfResources

            measure, unfit = partial(measure_on_cuda, torch.device(device)), (OutOfResources,)
        self._tuner = Tuner(measure, unfit)

    def convolve(
        self,
        features: Tensor,
        weight: Tensor,
        inputs: CoordinateSet,
        outputs: CoordinateSet,
        epilogue: Epilogue | None = None,
    ) -> Tensor:
        """See `Engine.convolve`."""
        if wants_gradient(features, weight, epilogue):
            rows = convolve(features, weight, kernel_map(inputs, outputs, len(weight)))
            return rows if epilogue is None else epilogue.apply_to(rows)
        volume, c_in, c_out = weight.shape
        features, weight = features.contiguous(), weight.to(features.dtype).contiguous()
        out = features.new_empty(len(outputs), c_out, dtype=self.storage)
        if not len(outputs):
            return out
        launch = self.launcher(features, weight, self.plan(inputs, outputs, volume), epilogue or Epilogue(), out)
        fitting = candidates(c_in, c_out, features.dtype)
        key = tuning_key(c_in, c_out, volume, len(outputs), features.dtype)
        launch(self._tuner.choose(key, fitting, launch))
        return out

    def launcher(
        self, features: Tensor, weight: Tensor, plan: Plan, epilogue: Epilogue, out: Tensor
    ) -> Callable[[Configuration], None]:
        """A function that computes `out` with the kernel in one configuration, at each call."""
        _, c_in, c_out = weight.shape
        bias = None if epilogue.bias is None else epilogue.bias.float().contiguous()
        residual = None if epilogue.residual is None else epilogue.residual.contiguous()
        column_tiles = -(-c_out // blocks(Configuration(1, 1, 1, 1), c_in, c_out)["BLOCK_OUT"])

        def launch(configuration: Configuration) -> None:
            offsets, counts = plan.tiles(configuration.tile)
            # Triton launches on the current device, which need not be the tensors'.
            with torch.cuda.device_of(features):
                self._kernel[(len(counts) * column_tiles,)](
                    features,
                    weight,
                    plan.table,
                    plan.rows,
                    offsets,
                    counts,
                    # Not read if the flags below are off, but a pointer must be given.
                    features if bias is None else bias,
                    features if residual is None else residual,
                    out,
                    plan.n_in,
                    plan.n_out,
                    plan.table.shape[1],
                    int(plan.ordered),
                    plan.base,
                    int(bias is not None),
                    int(residual is not None),
                    int(epilogue.relu),
                    C_IN=c_in,
                    C_OUT=c_out,
                    LIST=offsets.shape[1],
                    WIDE=max(len(features) * c_in, out.numel()) >= 1 << 31,
                    **blocks(configuration, c_in, c_out),
                    num_warps=configuration.warps,
                    num_stages=configuration.stages,
                )

        return launch
