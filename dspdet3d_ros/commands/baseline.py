"""`dspdet3d baseline`: what clustering without learning reaches on labelled table-top scenes."""

from __future__ import annotations

import argparse
from pathlib import Path

from dspdet3d_ros.commands.arguments import check_least

HELP = "measure a baseline without learning (table removed, clusters) on labelled scenes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("data", type=Path, help="folder of labelled scenes; boxes.json may give each 'table_z'")
    parser.add_argument("--table-z", type=float, help="height of the table, metres (default: as the scene says)")
    parser.add_argument("--split", default="val", help="which of the data set's splits (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="the most scenes that are read")
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Prints the figures and writes them where asked."""
    check_least("--limit", args.limit, 1)

    from dspdet3d_ros.learning.datasets.folders import open_scenes
    from dspdet3d_ros.learning.evaluation import accuracy
    from dspdet3d_ros.learning.evaluation.clustering import Clustering
    from dspdet3d_ros.output_files import write_json

    scenes = open_scenes(args.data, args.split, args.limit)
    judged = accuracy.judge(Clustering(table_z=args.table_z), scenes)
    values = {"data": args.data.name, "model": "clustering", **accuracy.figures(judged, 0.0)}
    print(accuracy.table(values))
    if args.json:
        write_json(args.json, values)
    return 0
