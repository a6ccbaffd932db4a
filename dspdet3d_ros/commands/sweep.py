"""`dspdet3d sweep`: accuracy and cost at several pruning thresholds, on labelled scenes."""

from __future__ import annotations

import argparse
from pathlib import Path

from dspdet3d_ros.commands.arguments import add_detector_arguments, check_number
from dspdet3d_ros.validation import AT_LEAST_ONE, SHARE

HELP = "measure accuracy and cost of a model on labelled scenes at several pruning thresholds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("data", type=Path, help="folder of labelled scenes, as for evaluate")
    parser.add_argument("--taus", type=float, nargs="+", help="pruning thresholds, 0..1 (default: 0 to 0.95)")
    add_detector_arguments(parser)
    parser.add_argument("--split", default="val", help="split of the data set (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="maximum number of scenes to read")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw the figures into this PNG file")


def run(args: argparse.Namespace) -> int:
    """Prints the table, and writes figures and plot if asked."""
    for tau in args.taus or ():
        check_number("--taus", tau, SHARE)
    check_number("--limit", args.limit, AT_LEAST_ONE)

    from dspdet3d_ros.detector.predictor import Detector
    from dspdet3d_ros.learning.datasets.folders import check_there, open_scenes
    from dspdet3d_ros.learning.evaluation import tau_sweep
    from dspdet3d_ros.output_files import write_json

    check_there(args.data)
    detector = Detector.load(args.model, args.checkpoint, args.device, args.backend, precision=args.precision)
    scenes = open_scenes(args.data, args.split, args.limit, detector.class_names)
    rows = tau_sweep.sweep(detector, scenes, sorted(set(args.taus or tau_sweep.TAUS)))
    print(tau_sweep.table(rows))
    values = {
        "data": args.data.name,
        "scenes": len(scenes),
        "model": detector.model_name,
        "checkpoint_sha256": detector.checkpoint_sha256,
        "score_threshold": detector.default_settings().score_threshold,
        "device": detector.device,
        "backend": detector.backend,
        "taus": rows,
    }
    if args.json:
        write_json(args.json, values)
    if args.plot:
        tau_sweep.plot(args.plot, rows, f"{detector.model_name} on {args.data.name}, {len(scenes)} scenes")
    return 0
