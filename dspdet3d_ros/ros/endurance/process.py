"""What a process holds, as Linux sees it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """A process at one moment.

    Attributes:
        time_s: `time.monotonic()`.
        resident_mb: resident memory of its own (anonymous pages), megabytes; shared memory of DDS is not in it.
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
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    resident_mb = int(status["RssAnon"].split()[0]) / 1024
    return Sample(time.monotonic(), resident_mb, int(status["Threads"]), len(os.listdir(f"/proc/{pid}/fd")))
