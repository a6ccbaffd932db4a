"""What Linux says of a process (proc_pid_status(5))."""

from pathlib import Path


def process_status(pid: int | str = "self") -> dict[str, str]:
    """The lines of a process's status, by their keys; of this process, if not said.

    Raises:
        OSError: there is no such process, or the system has no /proc.
    """
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return {key: value.strip() for key, colon, value in (line.partition(":") for line in lines) if colon}


def memory_bytes(status: dict[str, str], key: str) -> int:
    """A size out of a status: "VmRSS" is resident now, "VmHWM" was at the peak, "RssAnon" is the process's own part.

    Raises:
        KeyError: this system does not tell it.
    """
    return int(status[key].split()[0]) * 1024
