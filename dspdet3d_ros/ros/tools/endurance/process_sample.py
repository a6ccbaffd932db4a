"""Samples of the memory, threads and open files of a process."""

import os
import time
from dataclasses import dataclass

from dspdet3d_ros.system import memory_bytes, process_status


@dataclass(frozen=True)
class ProcessSample:
    """The state of a process at one moment.

    Attributes:
        time_s: `time.monotonic()`.
        resident_mb: its own resident memory (anonymous pages), in units of 1024² bytes, without the shared memory of
            DDS.
        threads: number of threads.
        files: number of open file descriptors.
    """

    time_s: float
    resident_mb: float
    threads: int
    files: int


def sample_process(pid: int) -> ProcessSample:
    """Samples a process.

    Raises:
        OSError: there is no such process.
    """
    status = process_status(pid)
    resident_mb = memory_bytes(status, "RssAnon") / 2**20
    return ProcessSample(time.monotonic(), resident_mb, int(status["Threads"]), len(os.listdir(f"/proc/{pid}/fd")))
