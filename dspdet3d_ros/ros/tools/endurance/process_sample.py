"""What a process holds, as Linux sees it."""

import os
import time
from dataclasses import dataclass

from dspdet3d_ros.system import memory_bytes, process_status


@dataclass(frozen=True)
class Sample:
    """A process at one moment.

    Attributes:
        time_s: `time.monotonic()`.
        resident_mb: resident memory of its own (anonymous pages), megabytes of 1024² bytes; shared memory of DDS is
            not in it.
        threads: number of threads.
        files: number of open file descriptors.
    """

    time_s: float
    resident_mb: float
    threads: int
    files: int


def sample(pid: int) -> Sample:
    """Looks at a process.

    Raises:
        OSError: there is no such process.
    """
    status = process_status(pid)
    resident_mb = memory_bytes(status, "RssAnon") / 2**20
    return Sample(time.monotonic(), resident_mb, int(status["Threads"]), len(os.listdir(f"/proc/{pid}/fd")))
