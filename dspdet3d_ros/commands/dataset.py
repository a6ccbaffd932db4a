"""`dspdet3d dataset`: converts data sets and labels for training and evaluation, and checks labels."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dspdet3d_ros.commands.arguments import add_columns_argument, add_frame_arguments, check_number
from dspdet3d_ros.defaults import MODEL
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.validation import AT_LEAST_ONE, NOT_NEGATIVE

if TYPE_CHECKING:
    from dspdet3d_ros.learning.datasets.checking import LabelFault
    from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
    from dspdet3d_ros.learning.datasets.writing import DatasetScan

HELP = "convert labels of annotation tools or a data set (ScanNet, TO-SCENE) for training, and check labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="DATASET")
    scannet = kinds.add_parser("scannet", help="ScanNet to ScanNet-md40: 22 classes")
    scannet.add_argument("source", type=Path, help="folder with the scans scene*/")
    scannet.add_argument("out", type=Path, help="folder to create")
    scannet.add_argument("--labels", type=Path, required=True, help="scannetv2-labels.combined.tsv")
    scannet.add_argument("--train", type=Path, help="list of the scans for training (scannetv2_train.txt)")
    scannet.add_argument("--val", type=Path, help="list of the scans for evaluation (scannetv2_val.txt)")
    scannet.set_defaults(work=_converted(_scannet))
    toscene = kinds.add_parser("toscene", help="TO-SCENE (TO_ScanNet) to TO-SCENE-down: 70 classes")
    toscene.add_argument("source", type=Path, help="folder with .npz scans, in train/ and val/ or in the folder itself")
    toscene.add_argument("out", type=Path, help="folder to create")
    toscene.add_argument("--seed", type=int, default=0, help="seed for thinning the points (default: %(default)s)")
    toscene.set_defaults(work=_converted(_toscene))
    labels = kinds.add_parser(
        "labels", help="labels of labelCloud, KITTI, Supervisely, CVAT (Datumaro) or ScanNet's tools to boxes.json"
    )
    labels.add_argument("source", type=Path, help="folder with the label files, in any sub-folders")
    labels.add_argument("out", type=Path, help="folder to create: boxes.json and clouds, metres, z up")
    labels.add_argument("--clouds", type=Path, help="folder of the cloud files (default: that of the labels)")
    add_columns_argument(labels)
    add_frame_arguments(labels)
    labels.add_argument(
        "--angles", choices=("radians", "degrees"), help="unit of labelCloud's angles (default: as its files show)"
    )
    labels.add_argument(
        "--names", type=Path, help="JSON file: class names by those in the labels; null leaves objects out"
    )
    labels.set_defaults(work=_labels)
    check = kinds.add_parser("check", help="find faults of labels: boxes without points, duplicates, units, classes")
    check.add_argument("source", type=Path, help="folder of labelled scenes, as for train and evaluate")
    check.add_argument("--split", default="train", help="split of the data set (default: %(default)s)")
    check.add_argument("--limit", type=int, help="maximum number of scenes to read")
    check.add_argument(
        "--model", default=MODEL, help="model or model file that is to be trained (default: %(default)s)"
    )
    check.add_argument("--png", type=Path, help="draw each scene with its labels into this folder")
    check.set_defaults(work=_check)


def run(args: argparse.Namespace) -> int:
    """Converts or checks; prints what was written or found."""
    return args.work(args)


def _converted(convert: Callable[[argparse.Namespace], dict[str, int]]) -> Callable[[argparse.Namespace], int]:
    """Converts a data set, and prints the number of scans of each split."""

    def work(args: argparse.Namespace) -> int:
        counts = convert(args)
        parts = ", ".join(f"{count} scans{f' to {split}' if split else ''}" for split, count in counts.items())
        print(f"{args.out}: {parts}")
        return 0

    return work


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


def _labels(args: argparse.Namespace) -> int:
    """Converts labels, and prints the number of objects of each class and what was left out."""
    from dspdet3d_ros.learning.datasets.formats.importing import FileFrame, import_labels

    frame = FileFrame(args.columns, args.up, args.unit)
    done = import_labels(args.source, args.out, args.clouds, frame, args.angles, _names(args.names))
    classes = ", ".join(f"{name} {count}" for name, count in done.objects.most_common())
    print(f"{args.out}: {done.clouds} clouds, {sum(done.objects.values())} objects: {classes or 'none'}")
    if done.turned:
        print(f"{done.turned} boxes are turned: boxes.json has the boxes around them, with the turned ones as 'turned'")
    if done.untransformed:
        print(f"{done.untransformed} KITTI files have no calib/NAME.txt: their boxes are in the frame of the clouds")
    for lead, names in (("clouds without labels", done.unlabelled), ("files without labels", done.not_labels)):
        if names:
            print(f"{len(names)} {lead}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}")
    print(f"next: dspdet3d dataset check {args.out} --png {args.out}_pictures")
    return 0


def _names(path: Path | None) -> dict[str, str | None]:
    from dspdet3d_ros.learning.datasets.formats.annotation import read_json

    if path is None:
        return {}
    names = read_json(path)
    if not isinstance(names, dict) or not all(
        name is None or (isinstance(name, str) and name) for name in names.values()
    ):
        raise InputError(f'{path}: expected {{"name in the labels": "class name" or null}}; correct it')
    return names


def _check(args: argparse.Namespace) -> int:
    """Prints the faults of the labels; status 1 if training would suffer from one."""
    from tqdm import tqdm

    from dspdet3d_ros.detector.config import load_model_config
    from dspdet3d_ros.learning.datasets.checking import class_faults, scene_faults
    from dspdet3d_ros.learning.datasets.folders import open_scenes

    check_number("--limit", args.limit, AT_LEAST_ONE)
    config = load_model_config(args.model)
    scenes = open_scenes(args.source, args.split, args.limit, config.classes)
    faults: list[LabelFault] = []
    names: list[str] = []
    for scene in tqdm(scenes, total=len(scenes), desc="check", unit="scene", disable=None):
        own = list(scene_faults(scene, config))
        faults, names = faults + own, names + list(scene.names)
        if args.png:
            _draw(args.png / f"{scene.name}.png", scene, own)
    faults += class_faults(names)
    for fault in faults:
        print(f"{'fault' if fault.serious else 'note'}: {fault.scene}{': ' if fault.scene else ''}{fault.text}")
    serious = sum(fault.serious for fault in faults)
    pictures = f"; pictures in {args.png}" if args.png else ""
    counts = f"{len(scenes)} scenes, {len(names)} objects, {serious} faults, {len(faults) - serious} notes"
    print(f"{args.source}: {counts}{pictures}")
    return 1 if serious else 0


def _draw(path: Path, scene: LabelledScene, faults: Sequence[LabelFault]) -> None:
    """Draws a scene: its labels, and those with faults in another colour."""
    import numpy as np

    from dspdet3d_ros.clouds.cloud import LabelledBoxes
    from dspdet3d_ros.tools.viewer.picture import Marked, draw_detections

    labels = dict(enumerate(scene.names))
    bad = [fault for fault in faults if fault.box is not None]
    for fault in bad:
        labels[fault.box or 0] += f": {fault.label}"
    numbers = sorted({fault.box or 0 for fault in bad})
    marked = Marked(scene.boxes[numbers], np.full(len(numbers), np.nan), [labels[k] for k in numbers])
    title = f"{scene.name}: {len(scene.boxes)} labels, {len(bad)} with faults"
    truth = LabelledBoxes(scene.boxes, scene.names)
    draw_detections(path, scene.xyz, None, marked, truth, title, ("label with a fault", "label"))
