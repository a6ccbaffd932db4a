"""Peak memory of one run of one engine, measured in a process of its own so that no other engine's memory counts."""

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
from dspdet3d_ros.learning.evaluation.memory import peak_of
from dspdet3d_ros.tools.benchmark.target import Subject

_MEGABYTE = 1e6


def peak_memory(subject: Subject, backend: str, threads: int, xyz: np.ndarray) -> dict[str, float]:
    """Megabytes (10⁶ bytes) of a process that runs the detector once.

    Args:
        subject: model, weights and τ.
        backend: the engine.
        threads: CPU threads.
        xyz: (N, 3) the cloud.

    Returns:
        `before_mb`, resident with model and cloud loaded; `peak_mb`, the most that was resident during the run, both
        of the whole process; on CUDA `peak_gpu_mb` as well, the most that tensors took there.

    Raises:
        InputError: the process failed.
    """
    with tempfile.TemporaryDirectory(prefix="dspdet3d_benchmark_") as folder:
        cloud = Path(folder) / "cloud.npy"
        np.save(cloud, xyz)
        values = {**asdict(subject), "checkpoint": str(subject.checkpoint) if subject.checkpoint else None}
        job = json.dumps({"subject": values, "backend": backend, "threads": threads, "cloud": str(cloud)})
        command = [sys.executable, "-m", "dspdet3d_ros.tools.benchmark.peak_memory", job]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it was killed, likely for lack of memory"])[-1]
        raise InputError(
            f"peak memory on {backend}: the process ended with status {done.returncode}: {reason}; try a smaller scene"
        )
    return json.loads(done.stdout.splitlines()[-1])


def _measure(job: dict[str, Any]) -> dict[str, float]:
    torch.set_num_threads(job["threads"])
    subject = Subject(**job["subject"])
    if subject.checkpoint is not None:
        subject = replace(subject, checkpoint=Path(subject.checkpoint))
    detector = subject.load(job["backend"])
    xyz = np.load(job["cloud"])
    run = partial(detector, xyz, subject.settings(detector))
    cuda = detector.device.startswith("cuda")
    (_, on_gpu), resident = peak_of(lambda: peak_of(run, detector.device) if cuda else (run(), None), "cpu")
    if resident is None:
        raise InputError("this system does not say what a process took at its peak; measure with --no-memory")
    found = {"before_mb": resident.before / _MEGABYTE, "peak_mb": resident.most / _MEGABYTE}
    if on_gpu is not None:
        found["peak_gpu_mb"] = on_gpu.most / _MEGABYTE
    return found


if __name__ == "__main__":
    print(json.dumps(_measure(json.loads(sys.argv[1]))))
