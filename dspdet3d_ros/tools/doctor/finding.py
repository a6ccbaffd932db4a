"""What a check of the installation finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from dspdet3d_ros.errors import one_line


class Level(str, Enum):
    """How bad it is: a problem stops the node, a warning costs something."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at.
        level: how bad it is.
        found: what there is.
        mend: what to do; empty where there is nothing to do.
    """

    name: str
    level: Level
    found: str
    mend: str = ""


Check = Callable[[], Iterable[Finding]]


def ok(name: str, found: str) -> Finding:
    """A finding that is as it should be."""
    return Finding(name, Level.OK, found)


def warning(name: str, found: str, mend: str) -> Finding:
    """A finding that costs speed, clouds or a feature."""
    return Finding(name, Level.WARNING, found, mend)


def problem(name: str, found: str, mend: str) -> Finding:
    """A finding that stops the node."""
    return Finding(name, Level.PROBLEM, found, mend)


def findings(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Runs named checks, each of which gives any number of findings; one that breaks off is a problem itself."""
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:
            yield problem(name, f"cannot be looked at: {one_line(error)}", "reinstall what the text names")
