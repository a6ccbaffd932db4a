"""`dspdet3d export`: detections as tables, label files or meshes."""

from __future__ import annotations

import argparse
from pathlib import Path

from dspdet3d_ros.commands.arguments import check_number
from dspdet3d_ros.validation import SHARE

HELP = "write detections as CSV, as label files of labelCloud or KITTI, or as .ply boxes"
FORMATS = {
    "csv": "one table of all clouds",
    "labelcloud": "a JSON file per cloud (centroid_rel), to be corrected in labelCloud",
    "kitti": "a text file per cloud, without calibration (kitti_untransformed)",
    "ply": "a mesh of all boxes per cloud",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("results", type=Path, help="file of `detect --json`, or detections.jsonl of `detect -o`")
    parser.add_argument("out", type=Path, help="folder for the files")
    listed = "; ".join(f"{name}: {text}" for name, text in FORMATS.items())
    parser.add_argument("--format", choices=tuple(FORMATS), required=True, help=listed)
    parser.add_argument("--score", type=float, default=0.0, help="leave out boxes with a lower score (default: none)")


def run(args: argparse.Namespace) -> int:
    """Writes the files, and prints how many."""
    check_number("--score", args.score, SHARE)

    from dspdet3d_ros.learning.datasets.formats.detection_results import read_results
    from dspdet3d_ros.learning.datasets.formats.exporting import EXPORTS

    found, failed = read_results(args.results, args.score)
    files = EXPORTS[args.format](found, args.out)
    without = f"; {failed} clouds have no result" if failed else ""
    print(f"{args.out}: {files} files, {sum(len(one.boxes) for one in found)} boxes of {len(found)} clouds{without}")
    return 0
