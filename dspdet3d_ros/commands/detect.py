"""`dspdet3d detect`: boxes in one cloud file."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.commands.arguments import (
    add_columns_argument,
    add_detector_arguments,
    add_frame_arguments,
    check_share,
)
from dspdet3d_ros.errors import InputError

HELP = "find objects in a cloud file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("cloud", type=Path, help="cloud: .npz, .npy, .ply, .pcd or float32 .bin")
    add_columns_argument(parser)
    add_frame_arguments(parser)
    parser.add_argument("--tau", type=float, help="pruning threshold, 0..1 (default: the model's own)")
    parser.add_argument("--score", type=float, help="boxes with a lower score are dropped, 0..1 (default: the model's)")
    add_detector_arguments(parser)
    parser.add_argument("--json", type=Path, help="write the boxes to this file")
    parser.add_argument("--png", type=Path, help="draw the cloud with the boxes into this file")
    parser.add_argument("--html", type=Path, help="write a page that shows cloud and boxes in 3D, without a network")
    parser.add_argument(
        "--taus", type=float, nargs="+", help="pruning thresholds on the page beside --tau (default: 0 0.2 0.4 0.6 0.8)"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the boxes, with the file's ground truth if it has one, and writes them where asked.

    Why there are no boxes, or why they may be wrong, goes to the standard error.
    """
    check_share("--tau", args.tau)
    check_share("--score", args.score)
    for tau in args.taus or ():
        check_share("--taus", tau)
    if args.taus and not args.html:
        raise InputError("--taus: chooses what the page of --html shows; give --html FILE too")

    from dataclasses import replace

    from dspdet3d_ros.clouds.files import read_cloud
    from dspdet3d_ros.clouds.upright import upright
    from dspdet3d_ros.detector.no_boxes import why_no_boxes
    from dspdet3d_ros.detector.plausibility import doubts
    from dspdet3d_ros.detector.predictor import Detector
    from dspdet3d_ros.tools.viewer import summary as report

    cloud = upright(read_cloud(args.cloud, args.columns), args.up, args.unit)
    detector = Detector.load(args.model, args.checkpoint, args.device, args.backend, precision=args.precision)
    given = {"pruning_threshold": args.tau, "score_threshold": args.score}
    settings = replace(detector.default_settings(), **{name: v for name, v in given.items() if v is not None})
    try:
        detections = detector(cloud.xyz, settings)
    except InputError:
        # The unit may be the reason why the cloud cannot be used.
        _print_remarks("doubtful cloud", doubts(cloud.xyz, detector.config))
        raise
    print(report.boxes_table(detections, cloud.truth))
    print(report.summary(detections, cloud.truth))
    print(report.work_line(detections))
    remarks = doubts(cloud.xyz, detector.config, detections)
    reason = None if len(detections) else why_no_boxes(detections.stats, settings, "--score", "--tau")
    _print_remarks("no boxes", [reason] if reason else [])
    _print_remarks("doubtful cloud", remarks)
    if args.json:
        from dspdet3d_ros.files import write_json

        write_json(args.json, report.as_json(detections, doubts=remarks))
    if args.png:
        from dspdet3d_ros.tools.viewer.picture import draw_detections

        title = f"{args.cloud.name}: {report.summary(detections, cloud.truth)}"
        draw_detections(args.png, cloud.xyz, cloud.rgb, detections, cloud.truth, title)
    if args.html:
        from dspdet3d_ros.tools.viewer.page import SHOWN_TAUS, Report, runs_at, write_page

        # After the run above, so that none of these is the first on this machine.
        runs = runs_at(args.taus or SHOWN_TAUS, detector, cloud.xyz, settings)
        tau, score, voxel = settings.pruning_threshold, settings.score_threshold, detector.config.voxel_size
        report_page = Report(args.cloud.name, cloud, runs, tau, score, detector.model_name, voxel, remarks)
        write_page(args.html, report_page)
    return 0


def _print_remarks(lead: str, remarks: Sequence[Remark]) -> None:
    for remark in remarks:
        print(f"dspdet3d detect: {lead}: {remark.text}", file=sys.stderr)
