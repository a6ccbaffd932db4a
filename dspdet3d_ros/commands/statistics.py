"""`dspdet3d statistics`: statistics of scans, to compare them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspdet3d_ros.commands.arguments import add_columns_argument, check_number
from dspdet3d_ros.validation import AT_LEAST_ONE

if TYPE_CHECKING:
    from dspdet3d_ros.learning.datasets.labelled_scene import SceneSet

HELP = "compare scans: thickness, density and holes of planes; number and sizes of objects"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "data", type=Path, nargs="+", help="folders of labelled scenes, as for evaluate, or cloud files"
    )
    add_columns_argument(parser)
    parser.add_argument("--split", default="val", help="split of the data set (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="maximum number of scenes to read from each folder")
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Prints one column for each cloud or folder. Accumulated and single-view scenes have separate columns."""
    check_number("--limit", args.limit, AT_LEAST_ONE)

    from dspdet3d_ros.learning.datasets.scan_statistics import summaries, table
    from dspdet3d_ros.output_files import write_json

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
    """The scenes of a folder, or a cloud file as one scene."""
    import numpy as np

    from dspdet3d_ros.clouds.files import read_cloud
    from dspdet3d_ros.learning.datasets.folders import open_scenes
    from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene, SceneSet

    if os.path.isdir(path) or path.suffix == ".pkl":
        return open_scenes(path, args.split, args.limit)
    cloud = read_cloud(path, args.columns)
    boxes = np.zeros((0, 6), np.float32)
    names: tuple[str, ...] = ()
    if cloud.truth is not None:
        boxes, names = cloud.truth.boxes, cloud.truth.names
    return SceneSet((lambda: LabelledScene(path.stem, "all", cloud.xyz, boxes, names),))
