"""Checks that a cloud for which memory is short leaves no memory behind, and that the next one is answered.

`scripts/gpu` runs it. On a GPU a limit of torch makes memory short, on the CPU a limit of the process.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dspdet3d_ros.detector.predictor import Detector, synthetic_room
from dspdet3d_ros.detector.result import DetectionSettings
from dspdet3d_ros.system import memory_bytes, process_status, return_freed_memory

SMALL, LARGE = 20_000, 2_000_000
#: What the large cloud may have, in addition to what is there before.
SPARE_MB = 100
#: How often the large cloud is tried after the first time, of which allocators and thread pools keep some memory.
TIMES = 3
#: What all of these may leave in MB. The points and colours of one of them are 48 MB.
KEPT_MB = {"cuda": 1.0, "cpu": 30.0}


@dataclass(frozen=True)
class MemoryCheck:
    """The effect of a cloud that was too large.

    Attributes:
        error: the type of the error that it caused; "" if there was none.
        before_mb, after_mb: memory of tensors on a GPU, or of the process, after the first failure and after the last.
        same: True if the next small cloud gives the boxes that it gave before.
    """

    error: str
    before_mb: float
    after_mb: float
    same: bool

    def passed(self, device: torch.device) -> bool:
        """True if the large cloud failed, its memory is free, and the small cloud is answered as before."""
        return bool(self.error) and self.after_mb - self.before_mb <= KEPT_MB[device.type] and self.same


def check_memory(device: torch.device) -> MemoryCheck:
    """Answers a small cloud, fails at a large one several times, and answers the small one again."""
    detector = Detector.load(device=str(device), max_points=LARGE, max_voxels=LARGE)
    everything = replace(detector.default_settings(), pruning_threshold=0.0, max_cells_per_level=LARGE)
    small, large = synthetic_room(SMALL), synthetic_room(LARGE)
    expected, errors, used = detector(small), set(), []
    for _ in range(1 + TIMES):
        errors.add(_failure(detector, large, everything, device))
        used.append(_memory_mb(device))
    found = detector(small)
    same = np.array_equal(expected.boxes, found.boxes) and np.array_equal(expected.scores, found.scores)
    error = "" if "" in errors else ", ".join(sorted(errors))
    return MemoryCheck(error, used[0], used[-1], same)


def _failure(detector: Detector, cloud: np.ndarray, settings: DetectionSettings, device: torch.device) -> str:
    """The type of the error that a cloud causes where memory is short, "" for none; its memory is free afterwards."""
    error = ""
    with _short_of_memory(device):
        try:
            detector(cloud, settings)
        except (MemoryError, RuntimeError) as failure:
            error = type(failure).__name__
            # The frames of the traceback refer to the tensors.
            traceback.clear_frames(failure.__traceback__)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return error


def _memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device) / 1e6
    return_freed_memory()
    return memory_bytes(process_status(), "VmRSS") / 1e6


@contextmanager
def _short_of_memory(device: torch.device) -> Iterator[None]:
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(
            min(1.0, (torch.cuda.memory_reserved(device) + SPARE_MB * 1e6) / total), device
        )
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
        return
    import resource

    old = resource.getrlimit(resource.RLIMIT_AS)
    limit = memory_bytes(process_status(), "VmSize") + SPARE_MB * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


def main() -> int:
    """Prints and writes the result; the exit status is 1 if the check failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda", help="where to check (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    check = check_memory(device)
    passed = check.passed(device)
    print(f"{'passed' if passed else 'FAILED'}: {check}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"passed": passed, **asdict(check)}), encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
