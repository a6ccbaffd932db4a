"""`dspdet3d detect`: detects objects in one cloud file."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.commands.arguments import (
    add_columns_argument,
    add_detector_arguments,
    add_frame_arguments,
    check_number,
)
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.validation import SHARE

HELP = "detect objects in a cloud file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("cloud", type=Path, help="cloud: .npz, .npy, .ply, .pcd or float32 .bin")
    add_columns_argument(parser)
    add_frame_arguments(parser)
    parser.add_argument("--tau", type=float, help="pruning threshold, 0..1 (default: that of the model)")
    parser.add_argument("--score", type=float, help="drop boxes with a lower score, 0..1 (default: that of the model)")
    add_detector_arguments(parser)
    parser.add_argument("--json", type=Path, help="write the boxes to this file")
    parser.add_argument("--png", type=Path, help="draw the cloud and the boxes into this file")
    parser.add_argument("--html", type=Path, help="write a page that shows cloud and boxes in 3D and works offline")
    parser.add_argument(
        "--taus", type=float, nargs="+", help="further pruning thresholds on the page (default: 0 0.2 0.4 0.6 0.8)"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the boxes, with the ground truth if the file has one, and writes them if asked.

    The standard error says why there are no boxes, and why the boxes may be wrong.
    """
    check_number("--tau", args.tau, SHARE)
    check_number("--score", args.score, SHARE)
    for tau in args.taus or ():
        check_number("--taus", tau, SHARE)
    if args.taus and not args.html:
        raise InputError("--taus: applies to the page of --html only; add --html FILE")

    from dataclasses import replace

    from dspdet3d_ros.clouds.files import read_cloud
    from dspdet3d_ros.clouds.upright import upright
    from dspdet3d_ros.detector.no_boxes import why_no_boxes
    from dspdet3d_ros.detector.plausibility import Plausibility
    from dspdet3d_ros.detector.predictor import Detector
    from dspdet3d_ros.tools.viewer.summary import as_json, boxes_table, cost_line, match_line

    cloud = upright(read_cloud(args.cloud, args.columns), args.up, args.unit)
    detector = Detector.load(args.model, args.checkpoint, args.device, args.backend, precision=args.precision)
    given = {"pruning_threshold": args.tau, "score_threshold": args.score}
    settings = replace(detector.default_settings(), **{name: v for name, v in given.items() if v is not None})
    plausibility = Plausibility(cloud.xyz, detector.config)
    # Before the network, which may take long for a cloud in a wrong unit, or refuse it.
    _print_remarks("doubtful cloud", plausibility.of_cloud)
    detections = detector(cloud, settings)
    print(boxes_table(detections, cloud.truth))
    print(match_line(detections, cloud.truth))
    print(cost_line(detections))
    if not len(detections) and (reason := why_no_boxes(detections.stats, settings, "--score", "--tau")):
        _print_remarks("no boxes", [reason])
    of_boxes = plausibility.of_boxes(detections)
    _print_remarks("doubtful boxes", of_boxes)
    doubts = (*plausibility.of_cloud, *of_boxes)
    if args.json:
        from dspdet3d_ros.output_files import write_json

        write_json(args.json, as_json(detections, doubts=doubts))
    if args.png:
        from dspdet3d_ros.tools.viewer.picture import draw_detections

        title = f"{args.cloud.name}: {match_line(detections, cloud.truth)}"
        draw_detections(args.png, cloud.xyz, cloud.rgb, detections, cloud.truth, title)
    if args.html:
        from dspdet3d_ros.tools.viewer.page import SHOWN_TAUS, PageContents, runs_at, write_page

        # The run above was the warm-up, so the times of these runs are comparable.
        runs = runs_at(args.taus or SHOWN_TAUS, detector, cloud, settings)
        tau, score, voxel = settings.pruning_threshold, settings.score_threshold, detector.config.voxel_size
        contents = PageContents(args.cloud.name, cloud, runs, tau, score, detector.model_name, voxel, doubts)
        write_page(args.html, contents)
    return 0


def _print_remarks(lead: str, remarks: Sequence[Remark]) -> None:
    for remark in remarks:
        print(f"dspdet3d detect: {lead}: {remark.text}", file=sys.stderr)
