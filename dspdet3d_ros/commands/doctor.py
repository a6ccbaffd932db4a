"""`dspdet3d doctor`: checks the installation, and says what to fix."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dspdet3d_ros.tools.doctor.finding import Check

HELP = "check the installation: Python, torch, GPU, ROS, DDS, messages, weights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("--without-ros", action="store_true", help="skip the checks of ROS, which only the node needs")
    parser.add_argument("--json", type=Path, help="write the findings to this file")


def run(args: argparse.Namespace) -> int:
    """Prints the findings, and writes them if asked. The exit status is 1 if a finding prevents the node."""
    from dspdet3d_ros.tools.doctor.finding import Severity, findings
    from dspdet3d_ros.tools.doctor.rendering import as_json, count, lines, verdict

    with_ros = not args.without_ros
    found = []
    for finding in findings(_checks(with_ros)):
        found.append(finding)
        print(lines(finding), flush=True)
    print(verdict(found, with_ros))
    if args.json:
        from dspdet3d_ros.output_files import write_json

        write_json(args.json, as_json(found))
    return 1 if count(found, Severity.PROBLEM) else 0


def _checks(with_ros: bool) -> list[tuple[str, Check]]:
    """All checks by name. The checks of ROS import ROS when they run, so that they can report what is missing."""
    from dspdet3d_ros.tools.doctor import libraries, weights

    checks = [*libraries.CHECKS, *weights.CHECKS]
    if with_ros:
        from dspdet3d_ros.ros.tools import ros_checks

        checks += ros_checks.CHECKS
    return checks
