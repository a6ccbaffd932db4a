"""Findings of the checks of the installation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from dspdet3d_ros.errors import one_line


class Severity(str, Enum):
    """Severity. A problem prevents the node from running. A warning costs speed, clouds or a feature."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        name: of the checked item.
        level: severity.
        found: the present state.
        fix: what to do; empty if nothing is to be done.
    """

    name: str
    level: Severity
    found: str
    fix: str = ""


#: A check returns any number of findings.
Check = Callable[[], Iterable[Finding]]


def ok(name: str, found: str) -> Finding:
    """A finding without a fault."""
    return Finding(name, Severity.OK, found)


def warning(name: str, found: str, fix: str) -> Finding:
    """A finding that costs speed, clouds or a feature."""
    return Finding(name, Severity.WARNING, found, fix)


def problem(name: str, found: str, fix: str) -> Finding:
    """A finding that prevents the node from running."""
    return Finding(name, Severity.PROBLEM, found, fix)


def findings(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Runs named checks. A check that raises an error yields a problem."""
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:
            yield problem(name, f"the check failed: {one_line(error)}", "reinstall the package named in the error")
