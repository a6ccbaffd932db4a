"""Files in shared memory: those of a process, and those of no running process."""

import re
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")
# Named by port or user, not by process: Fast DDS and LTTng keep these for whoever comes next, so they cannot pile up.
SHARED_BY_ALL = ("fastdds_port", "sem.fastdds_port", "lttng-ust")


def mapped(maps: Path, folder: Path = SHARED_MEMORY) -> set[str]:
    """Names of the files of a folder in a process's memory map, `/proc/PID/maps`.

    Raises:
        OSError: there is no such process, or it is another user's.
    """
    return set(re.findall(rf"{re.escape(str(folder))}/(\S+)", maps.read_text(encoding="utf-8", errors="replace")))


def in_use(folder: Path = SHARED_MEMORY) -> set[str]:
    """Names of the files of a folder that any process whose memory map can be read has mapped."""
    used: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            used |= mapped(maps, folder)
        except OSError:
            continue
    return used


def segments(pid: int) -> set[str]:
    """Names of the files in shared memory that a process has mapped, without `SHARED_BY_ALL`."""
    return {name for name in mapped(Path(f"/proc/{pid}/maps")) if not name.startswith(SHARED_BY_ALL)}


def left_over(names: set[str]) -> set[str]:
    """The segments that exist although no process has mapped them. Those of running peers are left out."""
    return {name for name in names - in_use() if (SHARED_MEMORY / name).exists()}
