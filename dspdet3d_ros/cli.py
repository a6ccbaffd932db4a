"""The command-line tool `dspdet3d`. No command needs ROS, except `benchmark --node`."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence

from dspdet3d_ros import __version__, commands
from dspdet3d_ros.commands.arguments import check_number, with_joined_axis
from dspdet3d_ros.errors import InputError, missing_package
from dspdet3d_ros.system import torch_threads, wait_without_spinning
from dspdet3d_ros.validation import AT_LEAST_ONE


def build_parser() -> argparse.ArgumentParser:
    """The parser, with one sub-command for each module of `dspdet3d_ros.commands` that has a function `run`."""
    parser = argparse.ArgumentParser(prog="dspdet3d", description="Find small objects in 3D point clouds.")
    parser.add_argument("--version", action="version", version=f"dspdet3d_ros {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in pkgutil.iter_modules(commands.__path__):
        command = importlib.import_module(f"{commands.__name__}.{module.name}")
        if not hasattr(command, "run"):
            continue
        sub = subparsers.add_parser(module.name.replace("_", "-"), help=command.HELP, description=command.HELP)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a sub-command. Returns the exit status: 0, 1 for unusable input, 130 after an interrupt."""
    wait_without_spinning()
    args = build_parser().parse_args(with_joined_axis(sys.argv[1:] if argv is None else argv))
    try:
        # Not every command computes.
        threads = getattr(args, "threads", None)
        check_number("--threads", threads, AT_LEAST_ONE)
        with torch_threads(threads):
            return args.run(args)
    except InputError as error:
        print(f"dspdet3d {args.command}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(f"{__package__}."):
            raise
        print(f"dspdet3d {missing_package(args.command, error.name)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
