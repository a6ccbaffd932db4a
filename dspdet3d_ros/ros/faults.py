"""Faults and remarks: counted by kind, logged without flooding the log, and kept for the diagnostics."""

import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.errors import InputError, one_line
from dspdet3d_ros.mapping.frame import REFUSALS, FrameRefused

REPEAT_S = 5.0
# A remark is logged again only after clouds have come without it for so long.
REMARK_FORGOTTEN_S = 300.0


class Level(IntEnum):
    """Severity; the numbers are those of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        level: WARN if the cause is outside the node, ERROR if the node itself could not do its work.
        lead: how its log line begins.
    """

    level: Level
    lead: str


_DOUBTFUL = Kind(Level.WARN, "doubtful cloud")
# Faults of clouds come first: those that the publisher causes, then those of their processing.
KINDS = {
    "fields": Kind(Level.WARN, "cloud refused"),
    "sizes": Kind(Level.WARN, "cloud refused"),
    "stamp": Kind(Level.WARN, "cloud refused"),
    "order": Kind(Level.WARN, "cloud refused"),
    "frame": Kind(Level.WARN, "cloud refused"),
    "contents": Kind(Level.WARN, "cloud refused"),
    # Those of the accumulator: frames that must not enter the map.
    **dict.fromkeys(
        (f"frame_{kind}" for kind in (*REFUSALS, "encoding", "sync", "transform")), Kind(Level.WARN, "frame refused")
    ),
    # Remarks: the cloud is used nevertheless.
    "no_points": _DOUBTFUL,
    "row_step": _DOUBTFUL,
    "count": _DOUBTFUL,
    "offsets": _DOUBTFUL,
    "colours": _DOUBTFUL,
    "byte_order": _DOUBTFUL,
    "frame_id": _DOUBTFUL,
    "range": _DOUBTFUL,
    **dict.fromkeys(("unit", "density", "up_axis", "room"), _DOUBTFUL),
    **dict.fromkeys(("box_sizes", "box_count"), Kind(Level.WARN, "doubtful boxes")),
    # OK: the boxes that are found are right.
    "close": Kind(Level.OK, "another model finds more"),
    "memory": Kind(Level.ERROR, "cloud dropped"),
    "processing": Kind(Level.ERROR, "cloud dropped"),
    "boxes": Kind(Level.ERROR, "boxes left out"),
    "device": Kind(Level.ERROR, "the process ends"),
    "worker": Kind(Level.ERROR, "stopped"),
    "configuration": Kind(Level.ERROR, "cannot be configured"),
    "activation": Kind(Level.ERROR, "cannot be activated"),
    # Reasons for no output, see health/no_output.py. OK: the state may be intended.
    "unconfigured": Kind(Level.OK, "nothing is published"),
    "inactive": Kind(Level.OK, "nothing is published"),
    "publisher": Kind(Level.WARN, "nothing is published"),
    "qos": Kind(Level.WARN, "nothing is published"),
    "lost": Kind(Level.WARN, "nothing is published"),
    "quiet": Kind(Level.WARN, "nothing is published"),
    "subscriber": Kind(Level.OK, "nothing is published"),
    "slow": Kind(Level.OK, "nothing is published yet"),
    "empty": Kind(Level.WARN, "no boxes"),
    "infinite": Kind(Level.WARN, "no boxes"),
    "pruned": Kind(Level.OK, "no boxes"),
    "class": Kind(Level.OK, "no boxes"),
    "score": Kind(Level.OK, "no boxes"),
    "nothing": Kind(Level.OK, "no boxes"),
}
# Texts of CUDA errors after which no call on the device works until the process has ended (CUDA runtime API,
# enumeration cudaError_t).
LOST_DEVICE = (
    "an illegal memory access was encountered",
    "an illegal instruction was encountered",
    "device-side assert triggered",
    "misaligned address",
    "operation not supported on global/shared address space",
    "invalid program counter",
    "unspecified launch failure",
    "hardware stack error",
    "uncorrectable ECC error encountered",
    "the launch timed out and was terminated",
)
# torch reports a lack of main memory as a plain RuntimeError.
NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "Cannot allocate memory")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        kind: a key of `KINDS`.
        text: one line.
    """

    kind: str
    text: str

    @property
    def level(self) -> Level:
        """Severity of its kind."""
        return KINDS[self.kind].level

    def __str__(self) -> str:
        return f"{KINDS[self.kind].lead}: {self.text}"


def log_at(logger: Any, level: Level, text: str) -> None:
    """Logs a line at a level. One line of code for each: rclpy refuses to log at two severities from one."""
    if level == Level.OK:
        logger.info(text)
    elif level == Level.WARN:
        logger.warning(text)
    else:
        logger.error(text)


def fault_of(error: Exception) -> Fault:
    """The fault that an exception in the work on a cloud or frame stands for."""
    if isinstance(error, FrameRefused):
        return Fault(f"frame_{error.kind}", str(error))
    if isinstance(error, InputError):
        return Fault(getattr(error, "kind", "contents"), str(error))
    text = one_line(error)
    if any(sign in text for sign in LOST_DEVICE):
        return Fault("device", f"{text}; the device cannot be used again in this process: restart the node")
    # torch.OutOfMemoryError is a RuntimeError too; by name, because torch need not be imported for this.
    by_name = type(error).__name__ == "OutOfMemoryError"
    if isinstance(error, MemoryError) or by_name or any(sign in text for sign in NO_MEMORY):
        return Fault(
            "memory",
            f"{text}; lower max_cells_per_level or raise pruning_threshold, or lower max_points or max_voxels",
        )
    return Fault("processing", text)


def release_frames(error: BaseException | None) -> None:
    """Releases the objects in the frames of an exception's traceback: tensors of a whole network, gigabytes."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


class FaultLog:
    """Counts faults and logs them: at once if the kind is new, then every few seconds. Logs a remark once.

    Args:
        logger: the node's.
        clock: monotonic time, seconds.
        of: name of the inputs, in the plural.
    """

    def __init__(self, logger: Any, clock: Callable[[], float] = time.monotonic, of: str = "clouds") -> None:
        self._logger, self._clock, self._of = logger, clock, of
        # Faults are found in the executor's thread and in the worker's.
        self._lock = threading.Lock()
        self._logged_s: dict[str, float] = {}
        self._since_good = 0
        self._present: Fault | None = None
        # Those on the latest "message", on the "cloud" in it, and on the latest "boxes".
        self._remarks: dict[str, tuple[Fault, ...]] = {}
        # When a cloud with that kind of remark came last.
        self._remarked_s: dict[str, float] = {}
        self._counts: Counter[str] = Counter()

    @property
    def present(self) -> Fault | None:
        """The latest fault that no good cloud has followed."""
        return self._present

    @property
    def remarks(self) -> tuple[Fault, ...]:
        """The remarks on the latest cloud that was decoded, and on the latest boxes."""
        with self._lock:
            return tuple(fault for faults in self._remarks.values() for fault in faults)

    @property
    def counts(self) -> Counter[str]:
        """Number of faults and of remarks by kind since the last `restart`."""
        with self._lock:
            return self._counts.copy()

    def report(self, fault: Fault) -> None:
        """Counts a fault and logs it."""
        now = self._clock()
        with self._lock:
            self._present = fault
            self._counts[fault.kind] += 1
            self._since_good += 1
            number = self._counts[fault.kind]
            news = fault.kind not in self._logged_s or now - self._logged_s[fault.kind] >= REPEAT_S
            if news:
                self._logged_s[fault.kind] = now
        if news:
            self._log(fault, number)

    def remark(self, remarks: Sequence[Remark], on: str = "message") -> None:
        """Takes all remarks on one object, none for one without any; counts them and logs kinds that are new.

        Args:
            remarks: all of them. They replace the earlier ones on the same object, and no others.
            on: "message", "cloud" or "boxes".
        """
        faults, now = tuple(Fault(remark.kind, remark.text) for remark in remarks), self._clock()
        with self._lock:
            self._remarks[on] = faults
            self._counts.update(fault.kind for fault in faults)
            kinds = {fault.kind for faults in self._remarks.values() for fault in faults}
            self._remarked_s = {
                kind: last_s
                for kind, last_s in self._remarked_s.items()
                if kind in kinds or now - last_s < REMARK_FORGOTTEN_S
            }
            news = [(fault, self._counts[fault.kind]) for fault in faults if fault.kind not in self._remarked_s]
            self._remarked_s.update(dict.fromkeys(kinds, now))
        for fault, number in news:
            self._log(fault, number)

    def good(self) -> None:
        """Notes a usable cloud: after it every kind of fault is new again."""
        with self._lock:
            faults, self._since_good, self._present = self._since_good, 0, None
            self._logged_s.clear()
        if faults:
            self._logger.info(f"{self._of} are usable again, after {faults} that were refused or spoiled")

    def keep(self, fault: Fault) -> None:
        """Shows a fault, which was logged elsewhere, until `restart`."""
        with self._lock:
            self._present = fault

    def restart(self) -> None:
        """Forgets everything and counts from zero."""
        with self._lock:
            self._present, self._since_good = None, 0
            self._remarks.clear()
            self._logged_s.clear()
            self._remarked_s.clear()
            self._counts.clear()

    def _log(self, fault: Fault, number: int) -> None:
        kind = KINDS[fault.kind]
        log_at(self._logger, kind.level, f"{kind.lead} ({fault.kind}, {number} so far): {fault.text}")
