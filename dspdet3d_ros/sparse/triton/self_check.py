"""The Triton engine compared with plain torch on this GPU, on a small cloud."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import dataclass
from functools import cache

import torch

from dspdet3d_ros.errors import text_of
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.sparse.coords import CoordinateSet
from dspdet3d_ros.sparse.engine import TorchEngine
from dspdet3d_ros.sparse.triton.compiling_apart import LIMIT_S, TooSlowError, compile_apart
from dspdet3d_ros.sparse.triton.triton_engine import TritonEngine

#: Largest relative error in half precision: norm of the difference over the norm.
TOLERANCE = 2e-3
_CELLS = 300
_CHANNELS = 64
_LONGEST_TEXT = 160


class DisagreementError(Exception):
    """The Triton engine cannot be relied on; the text says why, with figures."""


@dataclass(frozen=True)
class Agreement:
    """The comparison of the Triton engine with plain torch.

    Attributes:
        error: the largest relative error of the convolutions of all kinds in float16, against plain torch in float32.
        compile_s: seconds until the kernels were compiled; 0 if they had been before.
        compare_s: seconds of the comparison itself.
    """

    error: float
    compile_s: float
    compare_s: float

    def __str__(self) -> str:
        """In a few words."""
        compiled = f", after {self.compile_s:.0f} s for compiling" if self.compile_s else ""
        return f"differs by {self.error:.1e} from plain torch, compared in {self.compare_s:.2f} s{compiled}"


def agreement(device: torch.device | str) -> Agreement:
    """Compares the engine with plain torch, once per device and process.

    Raises:
        DisagreementError: the error is above the tolerance, or the kernels cannot be compiled in time or run.
    """
    found = _agreement(str(device))
    if isinstance(found, str):
        raise DisagreementError(found)
    return found


def forget() -> None:
    """The next call compares again, as after a change of the driver."""
    _agreement.cache_clear()


@cache
def _agreement(device: str) -> Agreement | str:
    try:
        compile_s = compile_apart(torch.device(device)) if torch.device(device).type == "cuda" else 0.0
        started = time.monotonic()
        errors = errors_of(torch.device(device))
        compare_s = time.monotonic() - started
    except TooSlowError as slow:
        return str(slow)
    except Exception as failure:  # a compiler, a driver or a file system raises anything
        return f"its kernels cannot run here ({type(failure).__name__}: {text_of(failure)[:_LONGEST_TEXT]})"
    for kind, found in errors.items():
        # An error that is no number fails too.
        if not found <= TOLERANCE:
            return (
                f"the result of a {kind} convolution differs by {found:.1e} from that of plain torch, "
                f"expected at most {TOLERANCE:.0e}"
            )
    return Agreement(max(errors.values()), compile_s, compare_s)


def errors_of(device: torch.device) -> dict[str, float]:
    """The relative error of each kind of convolution on a device."""
    generator = torch.Generator().manual_seed(0)
    coords = torch.randint(0, 8, (_CELLS, 4), generator=generator) * torch.tensor([0, 2, 2, 2])
    cells, _ = CoordinateSet.from_coordinates(coords.to(device), 2)
    features = torch.randn(len(cells), _CHANNELS, generator=generator).to(device).half()
    weight = (torch.randn(27, _CHANNELS, _CHANNELS, generator=generator) / 40).to(device).half()
    bias = torch.randn(_CHANNELS, generator=generator).to(device)
    engine, plain = TritonEngine(device, torch.float16, tune=False), TorchEngine()
    errors = {}
    with torch.no_grad():
        for kind, outputs in (("stride-1", cells), ("stride-2", cells.downsampled()), ("transposed", cells.expanded())):
            residual = torch.randn(len(outputs), _CHANNELS, generator=generator).to(device).half()
            epilogue = Epilogue(bias, residual, relu=True)
            found = engine.convolve(features, weight, cells, outputs, epilogue).float()
            wanted = plain.convolve(
                features.float(), weight.float(), cells, outputs, Epilogue(bias, residual.float(), True)
            )
            errors[kind] = float((found - wanted).norm() / wanted.norm())
    return errors


if __name__ == "__main__":
    # It ends even if the process that would end it is gone.
    signal.alarm(round(2 * LIMIT_S))
    errors_of(torch.device(sys.argv[1]))
