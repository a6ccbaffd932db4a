"""`dspdet3d generate`: write labelled synthetic scenes into a folder."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from dspdet3d_ros.commands.arguments import check_least

HELP = "write labelled synthetic scenes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("out_dir", type=Path, help="folder for the scenes, one {seed:06d}.npz each; made if missing")
    parser.add_argument("--scenes", type=int, default=100, help="how many, of consecutive seeds (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--kind", choices=("room", "table", "mixed"), default="mixed", help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the work (default: %(default)s)")
    parser.add_argument(
        "--catalogue", type=Path, help="folder of .sh3f catalogues that half of the things come from (default: none)"
    )
    parser.add_argument("--max-points", type=int, help="thin scenes to this many points (default: leave all)")


def run(args: argparse.Namespace) -> int:
    """Write the scenes that are not there yet, and say how fast that went.

    Raises InputError for counts below their least, a folder that cannot be made, a catalogue that cannot be read, or a
    missing ray casting library.
    """
    check_least("--scenes", args.scenes, 0)
    check_least("--seed", args.seed, 0)
    check_least("--workers", args.workers, 1)
    check_least("--max-points", args.max_points, 1)

    from dspdet3d_ros.learning.generation.batch import write_scenes

    start = time.perf_counter()
    written = write_scenes(
        args.out_dir, args.seed, args.scenes, args.kind, args.workers, args.max_points, args.catalogue
    )
    print(f"{written} scenes written to {args.out_dir}, {args.scenes - written} were there already")
    if written:
        workers, minutes = min(args.workers, written), (time.perf_counter() - start) / 60
        print(f"{written / minutes / workers:.1f} scenes a minute for each worker")
    return 0
