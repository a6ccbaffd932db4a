"""`dspdet3d benchmark`: times, arithmetic and memory on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspdet3d_ros import defaults
from dspdet3d_ros.commands.arguments import (
    add_columns_argument,
    add_engine_arguments,
    add_frame_arguments,
    check_least,
    check_share,
)
from dspdet3d_ros.errors import InputError

if TYPE_CHECKING:
    # Only for its name: it imports torch, which takes seconds.
    from dspdet3d_ros.tools.benchmark.subject import Subject

HELP = "measure speed and memory on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "--scene",
        default="demo",
        help="demo, a cloud file, room:SEED[:POINTS] or building[:ROOMS] (default: %(default)s)",
    )
    add_columns_argument(parser)
    add_frame_arguments(parser)
    parser.add_argument("--model", default=defaults.MODEL, help="model file or the name of one (default: %(default)s)")
    parser.add_argument(
        "--checkpoint", type=Path, help="weight file (default: the model's own, else stand-ins drawn at random)"
    )
    add_engine_arguments(parser)
    parser.add_argument("--against", help="another engine to run in turn with it, such as minkowski")
    parser.add_argument("--tau", type=float, help="pruning threshold, 0..1 (default: the model's own)")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=2, help="rounds before those (default: %(default)s)")
    parser.add_argument("--no-memory", action="store_true", help="leave out peak memory, which takes a run of its own")
    parser.add_argument("--convolutions", action="store_true", help="time each kind of convolution on its own as well")
    other = parser.add_argument_group("other measurements, instead of that of --scene")
    other.add_argument("--scaling", action="store_true", help="buildings of 1, 2, 4, 8 and 16 rooms")
    other.add_argument("--train", action="store_true", help="forward and backward pass of a room of 100,000 points")
    other.add_argument("--cloud-side", action="store_true", help="what comes before the network, on one core")
    other.add_argument("--node", action="store_true", help="the real node with --scene, message to boxes; needs ROS")
    other.add_argument("--kernels", action="store_true", help="the GPU kernels alone, beside spconv-triton where it is")
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Prints the figures and writes them where asked."""
    check_share("--tau", args.tau)
    check_least("--rounds", args.rounds, 1)
    check_least("--warmup", args.warmup, 0)

    from dspdet3d_ros.detector.predictor import choose_device
    from dspdet3d_ros.files import write_json
    from dspdet3d_ros.sparse.engine import choose_backend
    from dspdet3d_ros.tools.benchmark.machine import describe
    from dspdet3d_ros.tools.benchmark.report import machine_line
    from dspdet3d_ros.tools.benchmark.subject import Subject, with_weights

    device = choose_device(args.device)
    if args.backend == "auto":
        args.backend = choose_backend(device)[0]
    if args.against == args.backend:
        raise InputError(f"--against: {args.backend} is what is measured; name another engine")
    given = Subject(args.model, args.checkpoint, args.device, args.tau, args.precision)
    with with_weights(given) as subject:
        values = {"machine": describe(device)}
        print(machine_line(values["machine"]), flush=True)
        chosen = [measure for name, measure in _OTHERS.items() if getattr(args, name)] or [_overall]
        for measure in chosen:
            found, text = measure(args, subject)
            values |= found
            print(text, flush=True)
    if args.json:
        write_json(args.json, values)
    return 0


def _overall(args: argparse.Namespace, subject: Subject) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.tools.benchmark import report
    from dspdet3d_ros.tools.benchmark.overall import Plan, benchmark
    from dspdet3d_ros.tools.benchmark.scenes import read_scene

    plan = Plan(args.backend, args.against, args.rounds, args.warmup, not args.no_memory, args.convolutions)
    values = benchmark(subject, read_scene(args.scene, args.columns, args.up, args.unit), plan)
    return values, report.table(values)


def _scaling(args: argparse.Namespace, subject: Subject) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.tools.benchmark import scaling

    values = scaling.measure_scaling(subject, args.backend, args.rounds, args.warmup, not args.no_memory)
    return values, scaling.table(values)


def _train(args: argparse.Namespace, subject: Subject) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.tools.benchmark import training

    values = training.measure_training(subject, args.backend, args.rounds, args.warmup)
    return {"training": values}, training.table(values)


def _cloud_side(args: argparse.Namespace, subject: Subject) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.tools.benchmark import cloud_side

    values = cloud_side.measure_cloud_side(subject, args.backend, args.rounds, args.warmup)
    decoders, text = _decoders(args)
    return {"cloud_side": values, **decoders}, f"{cloud_side.table(values)}\n{text}"


def _decoders(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The decoder compared with that of ROS, if a ROS installation has it."""
    try:
        from dspdet3d_ros.ros.tools import decoder_benchmark
    except ImportError as error:
        return {}, f"the decoder is not compared with sensor_msgs_py: {error.name or error} cannot be imported"
    values = decoder_benchmark.measure_decoders(args.rounds, args.warmup)
    return {"decoders": values}, decoder_benchmark.table(values)


def _kernels(args: argparse.Namespace, subject: Subject) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.detector.predictor import choose_device
    from dspdet3d_ros.tools.benchmark import kernels

    values = kernels.measure_kernels(choose_device(args.device))
    return values, kernels.table(values)


def _node(args: argparse.Namespace, subject: Subject) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.tools.benchmark.scenes import read_scene

    try:
        from dspdet3d_ros.ros.tools import node_benchmark
    except ImportError as error:
        raise InputError(f"--node: needs ROS 2, but {error.name or error} cannot be imported; source ROS 2") from error
    parameters = {"model": args.model, "device": args.device, "backend": args.backend, "precision": args.precision}
    if subject.checkpoint is not None:
        parameters["checkpoint"] = str(subject.checkpoint)
    if args.tau is not None:
        parameters["pruning_threshold"] = float(args.tau)
    values = node_benchmark.measure_node(
        parameters, read_scene(args.scene, args.columns, args.up, args.unit), args.rounds, args.warmup
    )
    return {"node": values}, node_benchmark.table(values)


_OTHERS = {"scaling": _scaling, "train": _train, "cloud_side": _cloud_side, "node": _node, "kernels": _kernels}
