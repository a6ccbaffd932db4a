"""`dspdet3d benchmark`: times, arithmetic and memory on this machine."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from dspdet3d_ros.errors import InputError

HELP = "measure speed and memory on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "--scene",
        default="demo",
        help="demo, a cloud file, room:SEED[:POINTS] or building[:ROOMS] (default: %(default)s)",
    )
    parser.add_argument("--model", default="small", help="model file or the name of one (default: %(default)s)")
    parser.add_argument(
        "--checkpoint", type=Path, help="weight file (default: the model's own, else stand-ins drawn at random)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:n (default: %(default)s)")
    parser.add_argument("--backend", default="torch", help="the engine (default: %(default)s)")
    parser.add_argument("--against", help="another engine to run in turn with it, such as minkowski")
    parser.add_argument("--tau", type=float, help="pruning threshold, 0..1 (default: the model's own)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: as many as torch takes)")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=2, help="rounds before those (default: %(default)s)")
    parser.add_argument("--no-memory", action="store_true", help="leave out peak memory, which takes a run of its own")
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Prints the figures and writes them where asked."""
    _check(args)

    from dspdet3d_ros.benchmark import report
    from dspdet3d_ros.benchmark.machine import threads
    from dspdet3d_ros.benchmark.overall import Plan, benchmark
    from dspdet3d_ros.benchmark.scenes import read_scene
    from dspdet3d_ros.benchmark.subject import Subject, with_weights
    from dspdet3d_ros.report import write_json

    plan = Plan(args.backend, args.against, args.rounds, args.warmup, not args.no_memory)
    given = Subject(args.model, args.checkpoint, args.device, args.tau)
    with threads(args.threads), with_weights(given) as subject:
        values = benchmark(subject, read_scene(args.scene), plan)
    print(report.table(values))
    if args.json:
        write_json(args.json, values)
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.tau is not None and not (math.isfinite(args.tau) and 0 <= args.tau <= 1):
        raise InputError(f"--tau: expected a number in 0..1, got {args.tau}")
    for name, least in (("rounds", 1), ("warmup", 0)):
        if getattr(args, name) < least:
            raise InputError(f"--{name}: expected at least {least}, got {getattr(args, name)}")
    if args.against == args.backend:
        raise InputError(f"--against: expected another engine than --backend {args.backend}")
