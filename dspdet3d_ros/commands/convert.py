"""`dspdet3d convert`: converts a checkpoint of the original code for this package."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "convert a checkpoint of the original code"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("checkpoint", type=Path, help="original checkpoint (.pth, written by mmdet3d)")
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument(
        "--model", help="name of a model or model file, if the checkpoint does not identify it (default: identify it)"
    )


def run(args: argparse.Namespace) -> int:
    """Converts the checkpoint, and prints its model."""
    from dspdet3d_ros.detector.released import convert

    done = convert(args.checkpoint, args.out, args.model)
    config = done.config
    shown = ", ".join(config.classes[:4]) + (", ..." if len(config.classes) > 4 else "")
    print(f"{args.checkpoint}: SHA-256 {done.sha256}")
    print(f"model {done.model_name}, {len(config.classes)} classes: {shown}")
    print(
        f"widths {config.widths}, blocks {config.blocks}, head width {config.head_width}, {done.parameters} parameters"
    )
    print(
        f"voxel size {config.voxel_size:g} m, pruning threshold {config.pruning_threshold:g}, "
        f"score threshold {config.score_threshold:g}, NMS at IoU {config.nms_iou_threshold:g}"
    )
    print(f"written to {args.out}")
    return 0
