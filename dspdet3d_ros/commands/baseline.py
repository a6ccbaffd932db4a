"""`dspdet3d baseline`: accuracy of a non-learned baseline on labelled table-top scenes."""

from __future__ import annotations

import argparse
from pathlib import Path

from dspdet3d_ros.commands.arguments import check_number
from dspdet3d_ros.validation import AT_LEAST_ONE

HELP = "evaluate a non-learned baseline (clusters above the table plane) on labelled scenes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "data", type=Path, help="folder of labelled scenes; boxes.json may contain 'table_z' for each scene"
    )
    parser.add_argument("--table-z", type=float, help="height of the table, metres (default: from the scene)")
    parser.add_argument("--split", default="val", help="split of the data set (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="maximum number of scenes to read")
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Prints the figures, and writes them if asked."""
    check_number("--limit", args.limit, AT_LEAST_ONE)

    from dspdet3d_ros.learning.datasets.folders import open_scenes
    from dspdet3d_ros.learning.evaluation.accuracy import evaluate_scenes, figures, table
    from dspdet3d_ros.learning.evaluation.clustering import Clustering
    from dspdet3d_ros.output_files import write_json

    scenes = open_scenes(args.data, args.split, args.limit)
    evaluations = evaluate_scenes(Clustering(table_z=args.table_z), scenes)
    values = {"data": args.data.name, "model": "clustering", **figures(evaluations, 0.0)}
    print(table(values))
    if args.json:
        write_json(args.json, values)
    return 0
