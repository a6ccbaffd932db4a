"""`dspdet3d benchmark`: speed, arithmetic and memory on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspdet3d_ros import defaults
from dspdet3d_ros.commands.arguments import (
    add_columns_argument,
    add_engine_arguments,
    add_frame_arguments,
    add_views_argument,
    check_number,
    check_views,
)
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.system import torch_threads
from dspdet3d_ros.validation import AT_LEAST_ONE, NOT_NEGATIVE, SHARE

if TYPE_CHECKING:
    # Only for the type: the module imports torch, which takes seconds.
    from dspdet3d_ros.tools.benchmark.target import BenchmarkTarget

HELP = "measure speed and memory on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.add_argument(
        "--scene",
        default="demo",
        help="demo, a cloud file, room:SEED[:POINTS] or building[:ROOMS] (default: %(default)s)",
    )
    add_columns_argument(parser)
    add_frame_arguments(parser)
    parser.add_argument("--model", default=defaults.MODEL, help="name of a model or model file (default: %(default)s)")
    parser.add_argument(
        "--checkpoint", type=Path, help="weight file (default: that of the model; without one, random weights)"
    )
    add_engine_arguments(parser)
    parser.add_argument("--against", help="another engine to compare with, such as minkowski")
    parser.add_argument("--tau", type=float, help="pruning threshold, 0..1 (default: that of the model)")
    add_views_argument(parser)
    parser.add_argument("--repeats", type=int, default=7, help="number of measured runs (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=2, help="number of runs before those (default: %(default)s)")
    parser.add_argument("--no-memory", action="store_true", help="skip peak memory, which needs a separate run")
    parser.add_argument("--convolutions", action="store_true", help="also time each kind of convolution separately")
    other = parser.add_argument_group("other measurements, instead of that of --scene")
    other.add_argument("--scaling", action="store_true", help="buildings of 1, 2, 4, 8 and 16 rooms")
    other.add_argument("--train", action="store_true", help="forward and backward pass on a room of 100,000 points")
    other.add_argument(
        "--cloud-side", action="store_true", help="the stages before the network, on one core; decoder comparison"
    )
    other.add_argument("--node", action="store_true", help="the node with --scene, from message to boxes; needs ROS")
    other.add_argument(
        "--kernels", action="store_true", help="the GPU kernels alone; compared with spconv-triton if it is installed"
    )
    other.add_argument(
        "--accumulator",
        action="store_true",
        help=f"RGB-D frames of 640 x 480 pixels into a map; --threads is {defaults.MAP_THREADS} if not given",
    )
    other.add_argument(
        "--frames", type=int, default=120, help="number of frames of --accumulator (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def run(args: argparse.Namespace) -> int:
    """Prints the figures, and writes them if asked."""
    check_number("--tau", args.tau, SHARE)
    check_views(args.views)
    check_number("--repeats", args.repeats, AT_LEAST_ONE)
    check_number("--warmup", args.warmup, NOT_NEGATIVE)
    check_number("--frames", args.frames, AT_LEAST_ONE)

    from dspdet3d_ros.detector.loaded_model import choose_device
    from dspdet3d_ros.output_files import write_json
    from dspdet3d_ros.sparse.engine import choose_backend
    from dspdet3d_ros.tools.benchmark.benchmark_table import machine_line
    from dspdet3d_ros.tools.benchmark.machine import describe
    from dspdet3d_ros.tools.benchmark.target import BenchmarkTarget, with_weights

    device = choose_device(args.device)
    if args.backend == "auto":
        args.backend = choose_backend(device)[0]
    if args.against == args.backend:
        raise InputError(f"--against: {args.backend} is the engine to measure; name another engine")
    given = BenchmarkTarget(args.model, args.checkpoint, args.device, args.tau, args.precision, args.views)
    with with_weights(given) as target:
        values = {"machine": describe(device)}
        print(machine_line(values["machine"]), flush=True)
        chosen = [measure for name, measure in _OTHERS.items() if getattr(args, name)] or [_overall]
        for measure in chosen:
            figures, text = measure(args, target)
            values |= figures
            print(text, flush=True)
    if args.json:
        write_json(args.json, values)
    return 0


def _overall(args: argparse.Namespace, target: BenchmarkTarget) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.tools.benchmark.benchmark_scene import read_scene
    from dspdet3d_ros.tools.benchmark.benchmark_table import table
    from dspdet3d_ros.tools.benchmark.overall import BenchmarkOptions, benchmark

    options = BenchmarkOptions(
        args.backend, args.against, args.repeats, args.warmup, not args.no_memory, args.convolutions
    )
    values = benchmark(target, read_scene(args.scene, args.columns, args.up, args.unit), options)
    return values, table(values)


def _scaling(args: argparse.Namespace, target: BenchmarkTarget) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.tools.benchmark import scaling

    values = scaling.measure_scaling(target, args.backend, args.repeats, args.warmup, not args.no_memory)
    return values, scaling.table(values)


def _train(args: argparse.Namespace, target: BenchmarkTarget) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.tools.benchmark import training_step

    values = training_step.measure_training(target, args.backend, args.repeats, args.warmup)
    return {"training": values}, training_step.table(values)


def _cloud_side(args: argparse.Namespace, target: BenchmarkTarget) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.tools.benchmark import cloud_side

    values = cloud_side.measure_cloud_side(target, args.backend, args.repeats, args.warmup)
    decoders, text = _decoders(args)
    return {"cloud_side": values, **decoders}, f"{cloud_side.table(values)}\n{text}"


def _decoders(args: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """The decoder compared with that of ROS, if the ROS installation has it."""
    try:
        from dspdet3d_ros.ros.tools import decoder_benchmark
    except ImportError as error:
        return {}, f"the decoder is not compared with sensor_msgs_py: {error.name or error} cannot be imported"
    values = decoder_benchmark.measure_decoders(args.repeats, args.warmup)
    return {"decoders": values}, decoder_benchmark.table(values)


def _kernels(args: argparse.Namespace, target: BenchmarkTarget) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.detector.loaded_model import choose_device
    from dspdet3d_ros.tools.benchmark import gpu_kernels

    values = gpu_kernels.measure_kernels(choose_device(args.device))
    return values, gpu_kernels.table(values)


def _node(args: argparse.Namespace, target: BenchmarkTarget) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.tools.benchmark.benchmark_scene import read_scene

    try:
        from dspdet3d_ros.ros.tools import node_benchmark
    except ImportError as error:
        raise InputError(f"--node: needs ROS 2, but {error.name or error} cannot be imported; source ROS 2") from error
    parameters = {"model": args.model, "device": args.device, "backend": args.backend, "precision": args.precision}
    if target.checkpoint is not None:
        parameters["checkpoint"] = str(target.checkpoint)
    if args.tau is not None:
        parameters["pruning_threshold"] = float(args.tau)
    scene = read_scene(args.scene, args.columns, args.up, args.unit)
    values = node_benchmark.measure_node(parameters, scene, args.repeats, args.warmup)
    return {"node": values}, node_benchmark.table(values)


def _accumulator(args: argparse.Namespace, target: BenchmarkTarget) -> tuple[dict[str, Any], str]:
    from dspdet3d_ros.detector.loaded_model import choose_device
    from dspdet3d_ros.tools.benchmark import accumulator_speed

    with torch_threads(args.threads or defaults.MAP_THREADS):
        values = accumulator_speed.measure_accumulator(str(choose_device(args.device)), args.frames)
    return {"accumulator": values}, accumulator_speed.table(values)


_OTHERS = {
    "scaling": _scaling,
    "train": _train,
    "cloud_side": _cloud_side,
    "node": _node,
    "kernels": _kernels,
    "accumulator": _accumulator,
}
