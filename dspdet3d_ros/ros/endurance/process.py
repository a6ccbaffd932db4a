"""What a process holds, as Linux sees it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
# Named by port or user, not by process: Fast DDS and LTTng keep these for whoever comes next, so they cannot pile up.
SHARED_BY_ALL = ("fastdds_port", "sem.fastdds_port", "lttng-ust")


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


def segments(pid: int) -> set[str]:
    """Names of the files in /dev/shm that a process has mapped, without `SHARED_BY_ALL`."""
    words = (line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines())
    paths = {word[5].strip() for word in words if len(word) == 6}
    names = {Path(path).name for path in paths if path.startswith(f"{SHARED_MEMORY}/")}
    return {name for name in names if not name.startswith(SHARED_BY_ALL)}


def left_over(names: set[str]) -> set[str]:
    """Those of the segments that still exist."""
    return {name for name in names if (SHARED_MEMORY / name).exists()}
