"""Peak memory of one run of one engine, measured in its own process so that other engines do not count."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.system import measure_peak_memory
from dspdet3d_ros.tools.benchmark.target import BenchmarkTarget

_MEGABYTE = 1e6


def detector_peak_memory(target: BenchmarkTarget, backend: str, threads: int, xyz: np.ndarray) -> dict[str, float]:
    """Memory of a process that runs the detector once, in megabytes (10⁶ bytes).

    Args:
        target: model, weights and τ.
        backend: the engine.
        threads: CPU threads.
        xyz: (N, 3) the cloud, metres.

    Returns:
        `before_mb`: resident memory of the process after model and cloud are loaded. `peak_mb`: its maximum during the
        run. On CUDA also `peak_gpu_mb`: the maximum of the memory of all tensors on the GPU.

    Raises:
        InputError: the process failed.
    """
    with tempfile.TemporaryDirectory(prefix="dspdet3d_benchmark_") as folder:
        cloud = Path(folder) / "cloud.npy"
        np.save(cloud, xyz)
        values = {**asdict(target), "checkpoint": str(target.checkpoint) if target.checkpoint else None}
        job = json.dumps({"target": values, "backend": backend, "threads": threads, "cloud": str(cloud)})
        command = [sys.executable, "-m", "dspdet3d_ros.tools.benchmark.peak_memory", job]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it was killed, probably for lack of memory"])[-1]
        raise InputError(
            f"peak memory on {backend}: the process ended with status {done.returncode}: {reason}; use a smaller scene"
        )
    return json.loads(done.stdout.splitlines()[-1])


def _measure(job: dict[str, Any]) -> dict[str, float]:
    torch.set_num_threads(job["threads"])
    target = BenchmarkTarget(**job["target"])
    if target.checkpoint is not None:
        target = replace(target, checkpoint=Path(target.checkpoint))
    detector = target.load(job["backend"])
    xyz = np.load(job["cloud"])
    run = partial(detector, xyz, target.settings(detector))
    cuda = detector.device.startswith("cuda")
    (_, on_gpu), resident = measure_peak_memory(
        lambda: measure_peak_memory(run, detector.device) if cuda else (run(), None), "cpu"
    )
    if resident is None:
        raise InputError("this system does not report the peak memory of a process; measure with --no-memory")
    values = {"before_mb": resident.before / _MEGABYTE, "peak_mb": resident.peak / _MEGABYTE}
    if on_gpu is not None:
        values["peak_gpu_mb"] = on_gpu.peak / _MEGABYTE
    return values


if __name__ == "__main__":
    print(json.dumps(_measure(json.loads(sys.argv[1]))))
