"""`dspdet3d evaluate`: accuracy of a model on labelled scenes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dspdet3d_ros.commands.arguments import add_detector_arguments, add_views_argument, check_number, check_views
from dspdet3d_ros.validation import AT_LEAST_ONE, SHARE

if TYPE_CHECKING:
    from dspdet3d_ros.detector.predictor import Detector
    from dspdet3d_ros.detector.result import DetectionSettings
    from dspdet3d_ros.learning.datasets.labelled_scene import SceneSet

HELP = "measure the accuracy of a model on labelled scenes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "data",
        type=Path,
        nargs="+",
        help="folders of generated scenes, of mmdet3d infos, or of clouds with a boxes.json; evaluated as one set",
    )
    add_detector_arguments(parser)
    parser.add_argument("--tau", type=float, help="pruning threshold, 0..1 (default: that of the model)")
    parser.add_argument("--score", type=float, help="boxes above this score count, 0..1 (default: that of the model)")
    add_views_argument(parser)
    parser.add_argument(
        "--overlap",
        choices=("3d", "plan_view"),
        help="how NMS measures overlap; the original code uses plan_view (default: that of the model)",
    )
    parser.add_argument(
        "--postprocessing",
        choices=("published", "fused"),
        help="whether the best candidate of an object is reported or the median of those that agree (default: that of "
        "the model)",
    )
    parser.add_argument("--split", default="val", help="split of the data set (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="maximum number of scenes to read from each folder")
    parser.add_argument(
        "--yaw",
        type=float,
        metavar="DEGREES",
        help="turn the scenes about z; boxes that come from points are fitted again, at 0 too",
    )
    parser.add_argument(
        "--growing",
        type=int,
        metavar="STATES",
        help="show each scene as a map that grows in so many states, and measure whether tracked objects keep their "
        "number and name",
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw the share of right boxes over the score into this PNG file")


def run(args: argparse.Namespace) -> int:
    """Prints the figures, and writes them if asked."""
    check_number("--tau", args.tau, SHARE)
    check_number("--score", args.score, SHARE)
    check_views(args.views)
    check_number("--yaw", args.yaw)
    check_number("--limit", args.limit, AT_LEAST_ONE)
    check_number("--growing", args.growing, AT_LEAST_ONE)

    from dataclasses import replace

    from dspdet3d_ros.detector.predictor import Detector
    from dspdet3d_ros.detector.score_map import ScoreMap
    from dspdet3d_ros.learning.datasets.folders import check_there, open_scenes
    from dspdet3d_ros.learning.datasets.labelled_scene import joined
    from dspdet3d_ros.learning.datasets.rotation import rotated_set
    from dspdet3d_ros.learning.evaluation.accuracy import evaluate_scenes, figures, predictor_of, table
    from dspdet3d_ros.learning.evaluation.calibration import plot
    from dspdet3d_ros.output_files import write_json

    for folder in args.data:
        check_there(folder)
    detector = Detector.load(args.model, args.checkpoint, args.device, args.backend, precision=args.precision)
    changes = {"nms_overlap": args.overlap, "postprocessing": args.postprocessing}
    detector.config = replace(detector.config, **{key: value for key, value in changes.items() if value})
    scenes = joined([open_scenes(folder, args.split, args.limit, detector.class_names) for folder in args.data])
    if args.yaw is not None:
        scenes = rotated_set(scenes, args.yaw)
    settings = detector.default_settings().with_given(pruning_threshold=args.tau, views=args.views)
    score = settings.score_threshold if args.score is None else args.score
    if args.growing is not None:
        return _growing(args, detector, replace(settings, score_threshold=score), scenes)
    evaluations = evaluate_scenes(predictor_of(detector, settings), scenes)
    values = {
        "data": [folder.name for folder in args.data],
        "yaw_degrees": args.yaw,
        "model": detector.model_name,
        "checkpoint_sha256": detector.checkpoint_sha256,
        "pruning_threshold": settings.pruning_threshold,
        "score_threshold": score,
        "views": settings.views,
        "nms_overlap": detector.config.nms_overlap,
        "postprocessing": detector.config.postprocessing,
        "device": detector.device,
        "backend": detector.backend,
        **figures(evaluations, score, scenes.groups, detector.class_names),
    }
    used, fit = ScoreMap(*(detector.config.score_map or ())), ScoreMap(*values["calibration"]["score_map"])
    best = fit.after(used)
    values["calibration"]["score_map"] = [best.slope, best.offset]
    print(table(values))
    print(f"score_map of the model file that fits these scenes: [{best.slope:.3f}, {best.offset:.3f}]")
    if args.plot:
        plot(args.plot, values["calibration"], f"{detector.model_name}, {values['scenes']} scenes")
    if args.json:
        write_json(args.json, values)
    return 0


def _growing(args: argparse.Namespace, detector: Detector, settings: DetectionSettings, scenes: SceneSet) -> int:
    from dspdet3d_ros.learning.evaluation.growing import evaluate_identity
    from dspdet3d_ros.output_files import write_json

    found = evaluate_identity(detector, settings, list(scenes), args.growing)
    print(found.as_text())
    if args.json:
        write_json(args.json, found.as_json())
    return 0
