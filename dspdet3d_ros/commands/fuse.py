"""`dspdet3d fuse`: fuses a folder of RGB-D frames with poses into one cloud."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from dspdet3d_ros.commands.arguments import add_map_arguments, add_threads_argument, check_number, map_settings
from dspdet3d_ros.defaults import MAP_THREADS, UPS
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.validation import AT_LEAST_ONE, NOT_NEGATIVE

HELP = "fuse RGB-D frames with poses into one cloud"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "frames",
        type=Path,
        help="folder of frames: 7-Scenes, APC, TUM RGB-D, ScanNet (exported) or Open3D (*.log); see docs/mapping.md",
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="cloud to write: .ply, .npz or .pcd")
    parser.add_argument(
        "--up",
        nargs="+",
        metavar="AXIS|X Y Z",
        help="direction in the world of the poses that points up, approximately: an axis, such as -y, or three "
        "numbers; the cloud is rotated so that z points up and its largest level plane is level (default: as it is)",
    )
    parser.add_argument(
        "--intrinsics", type=float, nargs=4, metavar=("FX", "FY", "CX", "CY"), help="of the depth camera, pixels"
    )
    parser.add_argument("--first", type=int, default=0, help="index of the first frame to use (default: %(default)s)")
    parser.add_argument("--count", type=int, help="number of frames to use (default: all)")
    parser.add_argument("--report", action="store_true", help="print frames used, refused by reason, and thickness")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add_threads_argument(parser, MAP_THREADS)
    add_map_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Writes the cloud, and prints or writes the report if asked. Refused frames are counted, not fatal."""
    check_number("--first", args.first, NOT_NEGATIVE)
    check_number("--count", args.count, AT_LEAST_ONE)
    settings = map_settings(args)
    up = None if args.up is None else _direction(args.up)

    from tqdm import tqdm

    from dspdet3d_ros.clouds.cloud import PointCloud
    from dspdet3d_ros.clouds.writers import check_suffix, write_cloud
    from dspdet3d_ros.detector.loaded_model import choose_device
    from dspdet3d_ros.mapping.folders import open_frames
    from dspdet3d_ros.mapping.fusing import fuse_frames
    from dspdet3d_ros.mapping.levelling import levelled
    from dspdet3d_ros.output_files import check_writable, write_json

    device = str(choose_device(args.device))
    check_suffix(args.out)
    folder = open_frames(args.frames, None if args.intrinsics is None else tuple(args.intrinsics))
    end = None if args.count is None else args.first + args.count
    folder = replace(folder, frames=folder.frames[args.first : end])
    if not folder.frames:
        raise InputError(f"--first: {args.frames} has no frame {args.first}; name a smaller index")
    for path in filter(None, (args.out, args.json)):
        check_writable(path)
    for note in folder.notes:
        print(f"dspdet3d fuse: {note}", file=sys.stderr)
    measure = args.report or args.json is not None
    with tqdm(total=len(folder.frames), unit="frame", disable=None, leave=False) as bar:
        cloud, report = fuse_frames(folder, settings, device, measure, lambda _: bar.update())
    if not len(cloud.xyz):
        print(report.as_text(), file=sys.stderr)
        raise InputError(
            f"{args.frames}: no surface was measured by {settings.min_observations} frames; use more frames, "
            "or lower --min-observations"
        )
    if up is not None:
        cloud = PointCloud(levelled(cloud.xyz, up), cloud.rgb)
    write_cloud(args.out, cloud)
    refused = sum(report.refused.values())
    print(report.as_text() if args.report else f"{report.used} frames used, {refused} refused")
    if not args.report:
        lines = [f"frame refused: {text}" for text in report.texts]
        lines += [f"the map was emptied, and earlier frames are not in the cloud: {why}" for why in report.restarts]
        for line in lines:
            print(f"dspdet3d fuse: {line}", file=sys.stderr)
    print(f"written to {args.out}")
    if args.json:
        write_json(args.json, report.as_json())
    return 0


def _direction(words: list[str]) -> Any:
    """(3,) direction of --up."""
    import numpy as np

    if len(words) == 1 and words[0] in UPS:
        return (-1.0 if words[0].startswith("-") else 1.0) * np.eye(3)["xyz".index(words[0][-1])]
    try:
        up = np.array([float(word) for word in words])
    except ValueError:
        up = np.zeros(0)
    if up.shape != (3,) or not np.isfinite(up).all() or not up.any():
        raise InputError(f"--up: expected {', '.join(UPS)} or three numbers, got '{' '.join(words)}'")
    return up
