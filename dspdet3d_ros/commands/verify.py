"""`dspdet3d verify`: compares the results of this installation with those of the original code."""

from __future__ import annotations

import argparse
from pathlib import Path

from dspdet3d_ros.commands.arguments import add_backend_argument
from dspdet3d_ros.defaults import ORACLE

HELP = "compare results with reference numbers of the original code"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "directory",
        type=Path,
        nargs="?",
        default=ORACLE,
        help="folder with ops*.npz, e2e*.npz/json, train*.npz/json (default: the reference numbers of the package)",
    )
    add_backend_argument(parser)
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Prints one line per comparison. The exit status is 1 if one failed."""
    from dspdet3d_ros.detector.loaded_model import choose_device
    from dspdet3d_ros.errors import InputError
    from dspdet3d_ros.sparse import make_engine
    from dspdet3d_ros.tools.verification.end_to_end import verify_forward, verify_training
    from dspdet3d_ros.tools.verification.operations import verify_operations

    device = choose_device(args.device)
    engine = make_engine(args.backend, device, "fp32")
    kinds = (("ops", verify_operations), ("e2e", verify_forward), ("train", verify_training))
    files = [(path, verify) for prefix, verify in kinds for path in sorted(args.directory.glob(f"{prefix}*.npz"))]
    if not files:
        raise InputError(
            f"{args.directory}: no reference files ops*.npz, e2e*.npz or train*.npz; name a folder with such files"
        )
    failed = passed = 0
    for path, verify in files:
        for comparison in verify(path, engine, device):
            print(comparison, flush=True)
            failed += not comparison.passed
            passed += comparison.passed
    print(f"{passed} passed, {failed} failed on {engine.name}, {device}")
    return 1 if failed else 0
