"""`dspdet3d detect`: detects objects in one cloud file, or in many."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.commands.arguments import (
    add_columns_argument,
    add_detector_arguments,
    add_frame_arguments,
    add_views_argument,
    check_number,
    check_views,
)
from dspdet3d_ros.defaults import ORIENTATIONS
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.validation import AT_LEAST_ONE, SHARE

if TYPE_CHECKING:
    from dspdet3d_ros.tools.batch.job import Job

HELP = "detect objects in cloud files"
KINDS = (
    ".npz, .npy, .ply, .pcd, float32 .bin, .xyz, .txt, .pts, .csv, .las, .laz, .e57, .obj, .stl, .glb, .gltf "
    "(docs/files.md)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("cloud", nargs="+", help=f"cloud file: {KINDS}; with -o also several, folders and patterns")
    add_columns_argument(parser)
    add_frame_arguments(parser)
    parser.add_argument("--tau", type=float, help="pruning threshold, 0..1 (default: that of the model)")
    parser.add_argument("--score", type=float, help="drop boxes with a lower score, 0..1 (default: that of the model)")
    add_views_argument(parser)
    parser.add_argument(
        "--roi",
        type=float,
        nargs=6,
        metavar=("X0", "Y0", "Z0", "X1", "Y1", "Z1"),
        help="use only points between these corners, metres, z up (default: all points)",
    )
    parser.add_argument(
        "--box-orientation",
        choices=ORIENTATIONS,
        default="axes",
        help="axes: boxes parallel to the axes of the cloud; fitted: turned about the vertical as their objects are "
        "(default: %(default)s)",
    )
    add_detector_arguments(parser)
    one = parser.add_argument_group("output for one cloud")
    one.add_argument("--json", type=Path, help="write the boxes to this file")
    one.add_argument("--png", type=Path, help="draw the cloud and the boxes into this file")
    one.add_argument("--html", type=Path, help="write a page that shows cloud and boxes in 3D and works offline")
    one.add_argument(
        "--taus", type=float, nargs="+", help="further pruning thresholds on the page (default: 0 0.2 0.4 0.6 0.8)"
    )
    many = parser.add_argument_group("output for any number of clouds")
    many.add_argument(
        "-o", "--out", type=Path, help="folder for detections.jsonl, one line per cloud; clouds that are done are kept"
    )
    many.add_argument("--workers", type=int, help="number of processes, each with the model (default: 1)")


def run(args: argparse.Namespace) -> int:
    """Prints the boxes of one cloud, with the ground truth if the file has one, or writes those of many clouds.

    The standard error says why there are no boxes, why the boxes may be wrong, and which clouds have no result.
    """
    check_number("--tau", args.tau, SHARE)
    check_number("--score", args.score, SHARE)
    check_views(args.views)
    check_number("--workers", args.workers, AT_LEAST_ONE)
    for tau in args.taus or ():
        check_number("--taus", tau, SHARE)
    if args.taus and not args.html:
        raise InputError("--taus: applies to the page of --html only; add --html FILE")

    low, high = _region(args.roi)

    from dspdet3d_ros.tools.batch.job import Job

    names = ("model", "checkpoint", "device", "backend", "precision", "tau", "score", "views", "columns", "up", "unit")
    given = {name: getattr(args, name) for name in (*names, "box_orientation")}
    job = Job(**given, roi_min=low, roi_max=high)
    return _many(args, job) if args.out else _one(args, job)


def _region(numbers: list[float] | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The corners of --roi; empty ones without it."""
    from dspdet3d_ros.clouds.region import fault

    for number in numbers or ():
        check_number("--roi", number)
    low, high = tuple(numbers or ())[:3], tuple(numbers or ())[3:]
    text = fault(low, high, ("--roi X0 Y0 Z0", "X1 Y1 Z1"))
    if text:
        raise InputError(text)
    return low, high


def _one(args: argparse.Namespace, job: Job) -> int:
    if args.workers:
        raise InputError("--workers: applies to many clouds; add -o FOLDER")
    if len(args.cloud) > 1 or Path(args.cloud[0]).is_dir():
        raise InputError(f"{args.cloud[0]}: several clouds need a folder for the results; add -o FOLDER")

    from dspdet3d_ros.tools.viewer.summary import boxes_table, cost_line, match_line

    path = Path(args.cloud[0])
    cloud, loaded = job.read(path), job.load()
    plausibility = loaded.doubts(cloud)
    # Before the network, which may take long for a cloud in a wrong unit, or refuse it.
    _print_remarks("doubtful cloud", plausibility.of_cloud)
    detections = loaded.detect(cloud)
    print(boxes_table(detections, cloud.truth))
    print(match_line(detections, cloud.truth))
    print(cost_line(detections))
    _print_remarks("no boxes", loaded.why_none(detections))
    of_boxes = plausibility.of_boxes(detections)
    _print_remarks("doubtful boxes", of_boxes)
    doubts = (*plausibility.of_cloud, *of_boxes)
    if args.json:
        from dspdet3d_ros.output_files import write_json

        write_json(args.json, loaded.to_json(path, detections, doubts))
    if args.png:
        from dspdet3d_ros.tools.viewer.picture import draw_detections

        title = f"{path.name}: {match_line(detections, cloud.truth)}"
        draw_detections(args.png, cloud.xyz, cloud.rgb, detections, cloud.truth, title)
    if args.html:
        from dspdet3d_ros.tools.viewer.page import SHOWN_TAUS, PageContents, runs_at, write_page

        # The run above was the warm-up, so the times of these runs are comparable.
        detector, settings = loaded.detector, loaded.settings
        runs = runs_at(args.taus or SHOWN_TAUS, detector, cloud, settings)
        runs = tuple(loaded.oriented(cloud, run) for run in runs)
        tau, score, voxel = settings.pruning_threshold, settings.score_threshold, detector.config.voxel_size
        contents = PageContents(path.name, cloud, runs, tau, score, detector.model_name, voxel, doubts)
        write_page(args.html, contents)
    return 0


def _many(args: argparse.Namespace, job: Job) -> int:
    for name in ("json", "png", "html"):
        if getattr(args, name):
            raise InputError(f"--{name}: applies to one cloud without -o; leave out one of them")

    from dspdet3d_ros.tools.batch.batch_run import ProcessShare, run
    from dspdet3d_ros.tools.batch.cloud_inputs import cloud_files

    paths, share = cloud_files(args.cloud), ProcessShare.of_environment()
    outcome = run(job, paths, args.out, args.workers or 1, args.threads, share)
    process = f"process {share.rank} of {share.count}: " if share.count > 1 else ""
    earlier = f" ({outcome.skipped} of an earlier run)" if outcome.skipped else ""
    doubtful = f", {outcome.doubtful} with doubts" if outcome.doubtful else ""
    print(f"{process}{outcome.done} clouds{earlier}, {outcome.boxes} boxes{doubtful}")
    if outcome.joined:
        print(f"{outcome.joined}: {len(paths)} clouds")
    else:
        print(f"{process}{outcome.missing} clouds of other processes are not done; the last process joins the results")
    if outcome.errors:
        print(f"dspdet3d detect: {process}{len(outcome.errors)} clouds have no result:", file=sys.stderr)
        for error in outcome.errors:
            print(f"dspdet3d detect: {error}", file=sys.stderr)
    # torchrun ends all processes if one of them fails, so only the last one may.
    return 1 if outcome.errors and outcome.joined else 0


def _print_remarks(lead: str, remarks: Sequence[Remark]) -> None:
    for remark in remarks:
        print(f"dspdet3d detect: {lead}: {remark.text}", file=sys.stderr)
