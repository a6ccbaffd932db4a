"""`dspdet3d evaluate`: how well a model finds the boxes of labelled scenes."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "measure a model on labelled scenes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("data", type=Path, help="folder of generated .npz scenes, or of clouds with a boxes.json")
    parser.add_argument("--model", default="small", help="model file or the name of one (default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, help="weight file (default: the model's own)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:n (default: %(default)s)")
    parser.add_argument("--backend", default="torch", help="torch or minkowski (default: %(default)s)")
    parser.add_argument("--tau", type=float, help="pruning threshold (default: the model's own)")
    parser.add_argument("--score", type=float, help="score from which a box counts as reported (default: the model's)")
    parser.add_argument("--limit", type=int, help="the most scenes that are read")
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Prints the figures and writes them where asked."""
    import json
    from dataclasses import replace

    from dspdet3d_ros.detector.predictor import Detector
    from dspdet3d_ros.evaluation import report
    from dspdet3d_ros.evaluation.scenes import open_scenes

    count, scenes = open_scenes(args.data, args.limit)
    detector = Detector.load(args.model, args.checkpoint, args.device, args.backend)
    settings = detector.default_settings()
    if args.tau is not None:
        settings = replace(settings, pruning_threshold=args.tau)
    score = settings.score_threshold if args.score is None else args.score
    values = report.figures(*report.run(detector, settings, scenes, count), score)
    values |= {
        "data": args.data.name,
        "model": detector.model_name,
        "checkpoint_sha256": detector.checkpoint_sha256,
        "pruning_threshold": settings.pruning_threshold,
        "score_threshold": score,
    }
    print(report.table(values))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(values, indent=1) + "\n")
    return 0
