"""`dspdet3d dataset`: converts downloaded data sets into the format that training and evaluation read."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dspdet3d_ros.commands.arguments import check_number
from dspdet3d_ros.validation import NOT_NEGATIVE

if TYPE_CHECKING:
    from dspdet3d_ros.learning.datasets.writing import DatasetScan

HELP = "convert a downloaded data set (ScanNet, TO-SCENE) for training and evaluation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="DATASET")
    scannet = kinds.add_parser("scannet", help="ScanNet to ScanNet-md40: 22 classes")
    scannet.add_argument("source", type=Path, help="folder with the scans scene*/")
    scannet.add_argument("out", type=Path, help="folder to create")
    scannet.add_argument("--labels", type=Path, required=True, help="scannetv2-labels.combined.tsv")
    scannet.add_argument("--train", type=Path, help="list of the scans for training (scannetv2_train.txt)")
    scannet.add_argument("--val", type=Path, help="list of the scans for evaluation (scannetv2_val.txt)")
    scannet.set_defaults(convert=_scannet)
    toscene = kinds.add_parser("toscene", help="TO-SCENE (TO_ScanNet) to TO-SCENE-down: 70 classes")
    toscene.add_argument("source", type=Path, help="folder with .npz scans, in train/ and val/ or in the folder itself")
    toscene.add_argument("out", type=Path, help="folder to create")
    toscene.add_argument("--seed", type=int, default=0, help="seed for thinning the points (default: %(default)s)")
    toscene.set_defaults(convert=_toscene)


def run(args: argparse.Namespace) -> int:
    """Converts the data set, and prints the number of scans of each split."""
    counts = args.convert(args)
    parts = ", ".join(f"{count} scans{f' to {split}' if split else ''}" for split, count in counts.items())
    print(f"{args.out}: {parts}")
    return 0


def _scannet(args: argparse.Namespace) -> dict[str, int]:
    from functools import partial

    from dspdet3d_ros.learning.datasets.scannet import read_label_map, read_scan, scan_names
    from dspdet3d_ros.learning.datasets.writing import write_dataset

    read = partial(read_scan, label_of=read_label_map(args.labels))
    lists = {split: path for split, path in (("train", args.train), ("val", args.val)) if path} or {"": None}
    folders = {
        split: [args.source / name for name in scan_names(args.source, listed)] for split, listed in lists.items()
    }
    return write_dataset(args.out, "scannet", {split: _read(read, own, split) for split, own in folders.items()})


def _toscene(args: argparse.Namespace) -> dict[str, int]:
    from functools import partial

    from dspdet3d_ros.learning.datasets.toscene import read_scan, scan_files
    from dspdet3d_ros.learning.datasets.writing import write_dataset

    check_number("--seed", args.seed, NOT_NEGATIVE)
    read = partial(read_scan, seed=args.seed)
    files = scan_files(args.source)
    return write_dataset(args.out, "toscene", {split: _read(read, own, split) for split, own in files.items()})


def _read(read: Callable[[Path], DatasetScan], paths: Sequence[Path], split: str) -> Iterator[DatasetScan]:
    from tqdm import tqdm

    for path in tqdm(paths, desc=split or "scans", unit="scan", disable=None):
        yield read(path)
