"""`dspdet3d replay`: detects objects in recordings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dspdet3d_ros.commands.arguments import (
    add_detector_arguments,
    add_map_arguments,
    add_views_argument,
    check_number,
    check_views,
    map_settings,
)
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.validation import AT_LEAST_ONE, NOT_NEGATIVE, POSITIVE, SHARE

HELP = "detect objects in bags: in their clouds, or in the map of their depth images"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("bags", nargs="+", type=Path, metavar="BAG", help="folder of a bag, or its .mcap or .db3 file")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="folder for the results; each bag gets a folder of its name there"
    )
    parser.add_argument(
        "--topics",
        nargs="+",
        default=(),
        help="inputs where the bag has several of a kind: a cloud, or depth, colour, poses (default: by type and name)",
    )
    parser.add_argument("--world", default="", help="frame of the results (default: that of the poses or clouds)")
    parser.add_argument(
        "--period", type=float, default=1.0, help="detect in the map every so many seconds (default: %(default)s)"
    )
    parser.add_argument(
        "--sync-tolerance",
        type=float,
        default=0.02,
        help="largest difference between the stamps of depth and colour, seconds (default: %(default)s)",
    )
    parser.add_argument(
        "--depth-units-per-metre", type=float, default=1000.0, help="of 16-bit depth images (default: %(default)s)"
    )
    parser.add_argument(
        "--camera-mount",
        type=float,
        nargs=7,
        default=(),
        metavar=("X", "Y", "Z", "QX", "QY", "QZ", "QW"),
        help="pose of the camera's optical frame in the frame whose odometry or pose is recorded (default: by tf)",
    )
    parser.add_argument("--colour", action=argparse.BooleanOptionalAction, default=True, help="read colour images")
    parser.add_argument(
        "--tracking", action=argparse.BooleanOptionalAction, default=True, help="objects keep their number and name"
    )
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="format of the bag of results")
    parser.add_argument(
        "--resume", action="store_true", help="keep what an earlier run has computed (always so under torchrun)"
    )
    parser.add_argument("--workers", type=int, default=1, help="number of processes, each with the model (default: 1)")
    parser.add_argument("--tau", type=float, help="pruning threshold, 0..1 (default: that of the model)")
    parser.add_argument("--score", type=float, help="drop boxes with a lower score, 0..1 (default: that of the model)")
    add_views_argument(parser)
    add_detector_arguments(parser)
    add_map_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Replays all bags; under torchrun the processes share them. The exit status is 1 if one has no result."""
    for name, value in (("--tau", args.tau), ("--score", args.score)):
        check_number(name, value, SHARE)
    check_views(args.views)
    check_number("--period", args.period, NOT_NEGATIVE)
    check_number("--sync-tolerance", args.sync_tolerance, NOT_NEGATIVE)
    check_number("--depth-units-per-metre", args.depth_units_per_metre, POSITIVE)
    check_number("--workers", args.workers, AT_LEAST_ONE)
    maps = map_settings(args)
    bags = [(bag, _name(bag.resolve())) for bag in args.bags]
    if len({name for _, name in bags}) < len(bags):
        raise InputError("BAG: two bags have the same name, and so the same folder for the results; rename one")
    for bag, name in bags:
        if (args.out / name).resolve() == bag.resolve():
            raise InputError(f"--out: the results of {bag} would be written into the bag itself; name another folder")

    from dataclasses import replace

    from dspdet3d_ros.tools.batch.batch_run import ProcessShare
    from dspdet3d_ros.tools.batch.job import Job
    from dspdet3d_ros.tools.replay.many_bags import replay_bags
    from dspdet3d_ros.tools.replay.replay_settings import ReplaySettings

    share = ProcessShare.of_environment()
    device = share.device(args.device)
    model = Job(args.model, args.checkpoint, device, args.backend, args.precision, args.tau, args.score, args.views)
    settings = ReplaySettings(
        map=maps,
        topics=tuple(args.topics),
        world=args.world,
        period_s=args.period,
        tolerance_s=args.sync_tolerance,
        units_per_metre=args.depth_units_per_metre,
        camera_mount=tuple(args.camera_mount),
        use_colour=args.colour,
        storage=args.storage,
        resume=args.resume,
    )
    if not args.tracking:
        settings = replace(settings, tracking=None)
    try:
        _ = settings.mount
    except InputError as error:
        raise InputError(f"--camera-mount: {error}; give X Y Z in metres and a quaternion of length 1") from None
    failed = known = 0
    for outcome in replay_bags(
        model,
        settings,
        bags,
        args.out,
        args.workers,
        args.threads,
        share,
        lambda why: _print_error(f"{why}; once more"),
    ):
        failed += bool(outcome.error)
        known += outcome.known
        if outcome.error and not outcome.known:
            _print_error(outcome.error)
        elif outcome.text:
            print(outcome.text, flush=True)
    if known:
        print(f"{known} bags were done by an earlier run or by another process")
    return 1 if failed else 0


def _name(bag: Path) -> str:
    """The name of the folder of a bag's results. The names of folders of bags may have dots, as those with dates do."""
    # Here: the other commands need nothing that reads bags.
    from dspdet3d_ros.recordings.bags import SUFFIXES

    return bag.stem if bag.suffix in SUFFIXES and not bag.is_dir() else bag.name


def _print_error(text: str) -> None:
    print(f"dspdet3d replay: {text}", file=sys.stderr, flush=True)
