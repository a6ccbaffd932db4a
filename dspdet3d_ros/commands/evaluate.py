"""`dspdet3d evaluate`: how well a model finds the boxes of labelled scenes."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from dspdet3d_ros.commands.arguments import add_detector_arguments, check_least, check_share
from dspdet3d_ros.errors import InputError

HELP = "measure a model on labelled scenes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "data",
        type=Path,
        nargs="+",
        help="folders of generated scenes, of mmdet3d infos, or of clouds with a boxes.json; judged as one set",
    )
    add_detector_arguments(parser)
    parser.add_argument("--tau", type=float, help="pruning threshold (default: the model's own)")
    parser.add_argument("--score", type=float, help="score from which a box counts as reported (default: the model's)")
    parser.add_argument(
        "--overlap",
        choices=("3d", "plan_view"),
        help="how the overlap of duplicates is measured; the original's is plan_view (default: the model's own)",
    )
    parser.add_argument("--split", default="val", help="which of the data set's splits (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="the most scenes that are read of each folder")
    parser.add_argument(
        "--yaw",
        type=float,
        metavar="DEGREES",
        help="turn the scenes about z; boxes that come from points are fitted again, at 0 too",
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Prints the figures and writes them where asked."""
    check_share("--tau", args.tau)
    check_share("--score", args.score)
    if args.yaw is not None and not math.isfinite(args.yaw):
        raise InputError(f"--yaw: expected degrees, got {args.yaw}")
    check_least("--limit", args.limit, 1)

    from dataclasses import replace

    from dspdet3d_ros.detector.predictor import Detector
    from dspdet3d_ros.files import write_json
    from dspdet3d_ros.learning.datasets.folders import check_there, open_scenes
    from dspdet3d_ros.learning.datasets.rotation import rotated_set
    from dspdet3d_ros.learning.datasets.scene import joined
    from dspdet3d_ros.learning.evaluation import report

    for folder in args.data:
        check_there(folder)
    detector = Detector.load(args.model, args.checkpoint, args.device, args.backend, precision=args.precision)
    if args.overlap:
        detector.config = replace(detector.config, nms_overlap=args.overlap)
    scenes = joined([open_scenes(folder, args.split, args.limit, detector.class_names) for folder in args.data])
    if args.yaw is not None:
        scenes = rotated_set(scenes, args.yaw)
    settings = detector.default_settings()
    if args.tau is not None:
        settings = replace(settings, pruning_threshold=args.tau)
    score = settings.score_threshold if args.score is None else args.score
    judged = report.judge(report.finder(detector, settings), scenes)
    values = {
        "data": [folder.name for folder in args.data],
        "yaw_degrees": args.yaw,
        "model": detector.model_name,
        "checkpoint_sha256": detector.checkpoint_sha256,
        "pruning_threshold": settings.pruning_threshold,
        "score_threshold": score,
        "nms_overlap": detector.config.nms_overlap,
        "device": detector.device,
        "backend": detector.backend,
        **report.figures(judged, score, scenes.groups, detector.class_names),
    }
    print(report.table(values))
    if args.json:
        write_json(args.json, values)
    return 0
