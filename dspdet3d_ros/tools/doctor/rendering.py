"""The report of all checks, as text and as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dspdet3d_ros import __version__
from dspdet3d_ros.tools.doctor import libraries, weights
from dspdet3d_ros.tools.doctor.finding import Check, Finding, Level, findings

NAME_WIDTH = 18


def all_findings(with_ros: bool) -> Iterator[Finding]:
    """What all checks find.

    Args:
        with_ros: whether ROS is looked at, without which there is no node but all the commands.
    """
    checks: list[tuple[str, Check]] = [*libraries.CHECKS, *weights.CHECKS]
    if with_ros:
        # It imports ROS only inside its checks, so that it can say what is missing.
        from dspdet3d_ros.ros.tools import doctor as installation

        checks += installation.CHECKS
    return findings(checks)


def lines(finding: Finding) -> str:
    """A finding as one line, and a second one where there is something to do."""
    text = f"{finding.level.value:<8} {finding.name:<{NAME_WIDTH}} {finding.found}"
    return f"{text}\n{'':<8} {'':<{NAME_WIDTH}} -> {finding.mend}" if finding.mend else text


def verdict(found: Sequence[Finding], with_ros: bool) -> str:
    """The last line.

    Args:
        found: all findings.
        with_ros: whether ROS was looked at.
    """
    problems, warnings = (_number(count(found, level), level.value) for level in (Level.PROBLEM, Level.WARNING))
    what = "the node" if with_ros else "the commands"
    if count(found, Level.PROBLEM):
        return f"{what} cannot run: {problems}, {warnings}"
    return f"{what} can run: {warnings}{'' if with_ros else '; ROS was not looked at'}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def count(found: Iterable[Finding], level: Level) -> int:
    """Number of findings of a level."""
    return sum(finding.level == level for finding in found)


def values(found: Iterable[Finding]) -> dict[str, Any]:
    """The report for a JSON file."""
    rows = [{"name": f.name, "level": f.level.value, "found": f.found, "mend": f.mend} for f in found]
    return {"version": __version__, "findings": rows}
