"""`dspdet3d generate`: writes labelled synthetic scenes into a folder."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from dspdet3d_ros.commands.arguments import check_number
from dspdet3d_ros.validation import AT_LEAST_ONE, NOT_NEGATIVE

HELP = "generate labelled synthetic scenes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument("out_dir", type=Path, help="folder for the scenes (SEED.npz); created if it is missing")
    parser.add_argument(
        "--scenes", type=int, default=100, help="number of scenes, with consecutive seeds (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="first seed (default: %(default)s)")
    parser.add_argument(
        "--kind",
        choices=("room", "table", "mixed", "bin", "bench", "interior"),
        default="mixed",
        help="kind of scene: bench is a table with thin and tiny objects, bin a container with objects, interior a "
        "room full of furniture with few objects or none, mixed a table or a room (default: %(default)s)",
    )
    parser.add_argument("--workers", type=int, default=1, help="number of parallel processes (default: %(default)s)")
    parser.add_argument(
        "--catalogue",
        type=Path,
        help="folder of .sh3f catalogues, or of folders of meshes named after a class (default: none)",
    )
    parser.add_argument("--max-points", type=int, help="thin scenes to this number of points (default: no thinning)")


def run(args: argparse.Namespace) -> int:
    """Writes the scenes that do not exist yet, and prints the rate.

    Raises:
        InputError: a number is out of range, the folder cannot be created, the catalogue cannot be read, or the library
            for ray casting is missing.
    """
    check_number("--scenes", args.scenes, NOT_NEGATIVE)
    check_number("--seed", args.seed, NOT_NEGATIVE)
    check_number("--workers", args.workers, AT_LEAST_ONE)
    check_number("--max-points", args.max_points, AT_LEAST_ONE)

    from dspdet3d_ros.learning.generation.batch import write_scenes
    from dspdet3d_ros.learning.generation.catalogue import Catalogue

    catalogue = Catalogue.open(args.catalogue) if args.catalogue else None
    if catalogue and catalogue.own_classes:
        print(f"classes of your own, from the names of folders: {', '.join(catalogue.own_classes)}")
    start = time.perf_counter()
    written = write_scenes(args.out_dir, args.seed, args.scenes, args.kind, args.workers, args.max_points, catalogue)
    print(f"{written} scenes written to {args.out_dir}, {args.scenes - written} existed already")
    if written:
        workers, minutes = min(args.workers, written), (time.perf_counter() - start) / 60
        print(f"{written / minutes / workers:.1f} scenes per minute and worker")
    return 0
