"""Claims of bags by processes that share one folder of results, and the number of attempts at each bag."""

from __future__ import annotations

import enum
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dspdet3d_ros.errors import unwritable
from dspdet3d_ros.output_files import make_folder, writing_whole

#: Folder of the files of this module, in the folder of the results.
CLAIMS = ".claims"


class Claim(enum.Enum):
    """Whether a bag belongs to this process now."""

    OWN = enum.auto()
    #: Another process works on it.
    TAKEN = enum.auto()
    #: The file system has no locks.
    UNKNOWN = enum.auto()


@dataclass(frozen=True)
class Attempts:
    """The attempts at a bag in one run.

    Attributes:
        count: number of attempts that were begun.
        error: why there is no result; empty if that is not decided.
    """

    count: int = 0
    error: str = ""


class Claims:
    """The claims in a folder of results.

    Args:
        folder: the folder of the results; it is created.
        started_ns: start of the run, see `clock_ns`. Attempts of earlier runs do not count.

    Raises:
        InputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, started_ns: int) -> None:
        self._folder, self._started_ns = folder / CLAIMS, started_ns
        make_folder(self._folder)

    @contextmanager
    def claim(self, name: str) -> Iterator[Claim]:
        """Claims a bag within the context. If the process dies, the claim ends.

        Args:
            name: of the folder of the bag's results.

        Raises:
            InputError: the folder cannot be written.
        """
        path = self._folder / f"{name}.lock"
        try:
            stream = open(path, "ab")  # noqa: SIM115, closed below
        except OSError as error:
            raise unwritable(path, error) from error
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield Claim.TAKEN
            except OSError:
                yield Claim.UNKNOWN
            else:
                yield Claim.OWN

    def attempts(self, name: str) -> Attempts:
        """The attempts of this run at a bag."""
        path = self._attempts(name)
        try:
            if path.stat().st_mtime_ns < self._started_ns:
                return Attempts()
            return Attempts(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError):
            return Attempts()

    def set_attempts(self, name: str, attempts: Attempts) -> None:
        """Notes the attempts of this run at a bag.

        Raises:
            InputError: it cannot be written.
        """
        with writing_whole(self._attempts(name)) as part:
            part.write_text(json.dumps(attempts.__dict__), encoding="utf-8")

    def forget_attempts(self, name: str) -> None:
        """The bag is done."""
        self._attempts(name).unlink(missing_ok=True)

    def _attempts(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def clock_ns(folder: Path) -> int:
    """The time by the clock of the file system, which all machines that share the folder have in common.

    Raises:
        InputError: the folder cannot be written.
    """
    make_folder(folder / CLAIMS)
    path = folder / CLAIMS / f"clock.{os.uname().nodename}.{os.getpid()}"
    try:
        path.write_bytes(b"")
        return path.stat().st_mtime_ns
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            path.unlink()
