"""`dspdet3d doctor`: whether what is installed here will do, and what to mend."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "check the installation: Python, torch, GPU, ROS, DDS, messages, weights"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("--without-ros", action="store_true", help="leave out ROS, which only the node needs")
    parser.add_argument("--json", type=Path, help="write the findings to this file")


def run(args: argparse.Namespace) -> int:
    """Prints the findings and writes them where asked; 1 where one of them stops the node."""
    from dspdet3d_ros.tools.doctor import rendering
    from dspdet3d_ros.tools.doctor.finding import Level

    found = []
    for finding in rendering.all_findings(with_ros=not args.without_ros):
        found.append(finding)
        print(rendering.lines(finding), flush=True)
    print(rendering.verdict(found, with_ros=not args.without_ros))
    if args.json:
        from dspdet3d_ros.output_files import write_json

        write_json(args.json, rendering.values(found))
    return 1 if rendering.count(found, Level.PROBLEM) else 0
