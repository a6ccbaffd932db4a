"""`dspdet3d sweep`: what the pruning threshold costs and finds, on labelled scenes."""

from __future__ import annotations

import argparse
from pathlib import Path

from dspdet3d_ros.commands.arguments import add_detector_arguments, check_least, check_share

HELP = "measure a model on labelled scenes at many pruning thresholds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("data", type=Path, help="folder of labelled scenes, as for evaluate")
    parser.add_argument("--taus", type=float, nargs="+", help="pruning thresholds (default: 0 to 0.95)")
    add_detector_arguments(parser)
    parser.add_argument("--split", default="val", help="which of the data set's splits (default: %(default)s)")
    parser.add_argument("--limit", type=int, help="the most scenes that are read")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plot", type=Path, help="draw them into this PNG file")


def run(args: argparse.Namespace) -> int:
    """Prints the table, writes figures and plot where asked."""
    for tau in args.taus or ():
        check_share("--taus", tau)
    check_least("--limit", args.limit, 1)

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
