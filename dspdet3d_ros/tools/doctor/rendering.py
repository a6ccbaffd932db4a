"""Findings as text and as JSON values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dspdet3d_ros import __version__
from dspdet3d_ros.tools.doctor.finding import Finding, Severity

NAME_WIDTH = 18


def lines(finding: Finding) -> str:
    """A finding as one line, with its fix on a second line."""
    text = f"{finding.level.value:<8} {finding.name:<{NAME_WIDTH}} {finding.found}"
    return f"{text}\n{'':<8} {'':<{NAME_WIDTH}} -> {finding.fix}" if finding.fix else text


def verdict(found: Sequence[Finding], with_ros: bool) -> str:
    """The last line of the report.

    Args:
        found: all findings.
        with_ros: whether ROS was checked. Without ROS the commands run, but not the node.
    """
    problems, warnings = (_number(count(found, level), level.value) for level in (Severity.PROBLEM, Severity.WARNING))
    subject = "the node" if with_ros else "the commands"
    if count(found, Severity.PROBLEM):
        return f"{subject} cannot run: {problems}, {warnings}"
    return f"{subject} can run: {warnings}{'' if with_ros else '; ROS was not checked'}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def count(found: Iterable[Finding], level: Severity) -> int:
    """Number of findings of a level."""
    return sum(finding.level == level for finding in found)


def as_json(found: Iterable[Finding]) -> dict[str, Any]:
    """The findings as plain values."""
    rows = [{"name": f.name, "level": f.level.value, "found": f.found, "fix": f.fix} for f in found]
    return {"version": __version__, "findings": rows}
