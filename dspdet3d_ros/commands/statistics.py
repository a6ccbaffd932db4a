"""`dspdet3d statistics`: what scans are like, beside each other."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspdet3d_ros.commands.arguments import add_columns_argument, check_least

if TYPE_CHECKING:
    from dspdet3d_ros.learning.datasets.scene import SceneSet

HELP = "tell what scans are like: thickness and density of planes, holes, number and sizes of things"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "data", type=Path, nargs="+", help="folders of labelled scenes, as for evaluate, or cloud files"
    )
    add_columns_argument(parser)
    parser.add_argument("--split", default="val", help="which of the data set's splits (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="the most scenes that are read of each folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Prints a column for each cloud or folder, two where scenes are told to be accumulated and of a single view."""
    check_least("--limit", args.limit, 1)

    from dspdet3d_ros.files import write_json
    from dspdet3d_ros.learning.datasets.statistics import summaries, table

    columns: dict[str, Any] = {}
    for path in args.data:
        parts = summaries(_scenes(path, args))
        named = {scan: f"{path.name} {scan.replace('_', ' ')}".strip() for scan in parts}
        if set(named.values()) & set(columns):
            named = {scan: name.replace(path.name, str(path), 1) for scan, name in named.items()}
        columns |= {named[scan]: part for scan, part in parts.items()}
    print(table(columns))
    if args.json:
        write_json(args.json, columns)
    return 0


def _scenes(path: Path, args: argparse.Namespace) -> SceneSet:
    """The scenes of a folder, or a cloud file as the only scene."""
    import numpy as np

    from dspdet3d_ros.clouds.files import read_cloud
    from dspdet3d_ros.learning.datasets.folders import open_scenes
    from dspdet3d_ros.learning.datasets.scene import LabelledScene, SceneSet

    if os.path.isdir(path) or path.suffix == ".pkl":
        return open_scenes(path, args.split, args.limit)
    cloud = read_cloud(path, args.columns)
    boxes = np.zeros((0, 6), np.float32)
    names: tuple[str, ...] = ()
    if cloud.truth is not None:
        boxes, names = cloud.truth.boxes, cloud.truth.names
    return SceneSet((lambda: LabelledScene(path.stem, "all", cloud.xyz, boxes, names),))
