"""`dspdet3d replay`: detects objects in recordings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dspdet3d_ros.commands.arguments import add_detector_arguments, add_map_arguments, check_number, map_settings
from dspdet3d_ros.errors import InputError, one_line
from dspdet3d_ros.validation import NOT_NEGATIVE, POSITIVE, SHARE

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
        help="inputs: a cloud, or depth, colour and poses (default: by type and name)",
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
    parser.add_argument("--colour", action=argparse.BooleanOptionalAction, default=True, help="read colour images")
    parser.add_argument(
        "--tracking", action=argparse.BooleanOptionalAction, default=True, help="objects keep their number and name"
    )
    parser.add_argument("--storage", choices=("mcap", "sqlite3"), default="mcap", help="format of the bag of results")
    parser.add_argument("--resume", action="store_true", help="use what an earlier run has computed")
    parser.add_argument("--tau", type=float, help="pruning threshold, 0..1 (default: that of the model)")
    parser.add_argument("--score", type=float, help="drop boxes with a lower score, 0..1 (default: that of the model)")
    add_detector_arguments(parser)
    add_map_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Replays all bags, or those of this process under torchrun; the exit status is 1 if one cannot be read."""
    for name, value in (("--tau", args.tau), ("--score", args.score)):
        check_number(name, value, SHARE)
    check_number("--period", args.period, NOT_NEGATIVE)
    check_number("--sync-tolerance", args.sync_tolerance, NOT_NEGATIVE)
    check_number("--depth-units-per-metre", args.depth_units_per_metre, POSITIVE)
    maps = map_settings(args)
    folders = {args.out / bag.resolve().stem: bag for bag in args.bags}
    if len(folders) < len(args.bags):
        raise InputError("BAG: two bags have the same name, and so the same folder for the results; rename one")

    from dataclasses import replace

    from tqdm import tqdm

    from dspdet3d_ros.detector.predictor import Detector
    from dspdet3d_ros.tools.batch.batch_run import ProcessShare
    from dspdet3d_ros.tools.replay.bag_run import ReplaySettings, replay

    share = ProcessShare.of_environment()
    device = share.device(args.device)
    detector = Detector.load(args.model, args.checkpoint, device, args.backend, precision=args.precision)
    given = {"pruning_threshold": args.tau, "score_threshold": args.score}
    thresholds = {name: value for name, value in given.items() if value is not None}
    settings = ReplaySettings(
        detection=replace(detector.default_settings(), **thresholds),
        map=maps,
        topics=tuple(args.topics),
        world=args.world,
        period_s=args.period,
        tolerance_s=args.sync_tolerance,
        units_per_metre=args.depth_units_per_metre,
        use_colour=args.colour,
        storage=args.storage,
        resume=args.resume,
    )
    if not args.tracking:
        settings = replace(settings, tracking=None)
    failed = 0
    for folder, bag in list(folders.items())[share.rank :: share.count]:
        try:
            summary = replay(
                bag,
                folder,
                detector,
                settings,
                lambda records, total, name=bag.name: tqdm(records, name, total, disable=None, unit="message"),  # type: ignore[misc]
            )
        except InputError as error:
            failed += 1
            print(f"dspdet3d replay: {bag}: {error}", file=sys.stderr)
        except Exception as error:
            # Too little memory, or a fault of ours: the other bags are replayed.
            failed += 1
            print(f"dspdet3d replay: {bag}: {one_line(error)}", file=sys.stderr)
        else:
            print(summary.as_text())
            print(f"  results in {folder}")
    return 1 if failed else 0
