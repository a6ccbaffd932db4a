"""Arguments that several commands take, and checks of their numbers."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from dspdet3d_ros import defaults
from dspdet3d_ros.errors import InputError


def add_detector_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, with which weights, computed by what."""
    parser.add_argument("--model", default=defaults.MODEL, help="model file or the name of one (default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, help="weight file (default: the model's own)")
    add_engine_arguments(parser)


def add_columns_argument(parser: argparse.ArgumentParser) -> None:
    """How many values a point has in a .bin file."""
    parser.add_argument(
        "--columns", type=int, metavar="N", help=f"{defaults.COLUMNS_HELP} (default: {defaults.BIN_COLUMNS})"
    )


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the network is computed, by which engine, in which type and on how many CPU threads."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:n (default: %(default)s)")
    add_backend_argument(parser)
    parser.add_argument(
        "--precision", default="auto", choices=defaults.PRECISIONS, help="fp16 needs triton (default: %(default)s)"
    )
    add_threads_argument(parser)


def add_backend_argument(parser: argparse.ArgumentParser) -> None:
    """Which engine computes the sparse convolutions."""
    parser.add_argument("--backend", default="auto", choices=defaults.BACKENDS, help="engine (default: %(default)s)")


def add_frame_arguments(parser: argparse.ArgumentParser) -> None:
    """How the coordinates of a cloud file are to be read: see `clouds.upright`."""
    parser.add_argument("--up", choices=defaults.UPS, default="z", help=f"{defaults.UP_HELP} (default: %(default)s)")
    parser.add_argument(
        "--unit", choices=tuple(defaults.UNITS), default="m", help=f"{defaults.UNIT_HELP} (default: %(default)s)"
    )


def with_joined_axis(argv: Sequence[str]) -> list[str]:
    """The arguments with `--up -y` written as `--up=-y`: argparse takes `-y` alone for an option."""
    joined: list[str] = []
    for argument in argv:
        if joined and joined[-1] == "--up" and argument in defaults.UPS:
            joined[-1] = f"--up={argument}"
        else:
            joined.append(argument)
    return joined


def add_threads_argument(parser: argparse.ArgumentParser) -> None:
    """On how many CPU threads the command computes; `cli.main` checks and applies it."""
    parser.add_argument("--threads", type=int, help="number of CPU threads (default: torch's choice)")


def check_share(name: str, value: float | None) -> None:
    """Refuses a threshold that is given but not within 0..1.

    Raises:
        InputError: it is not; the text names the argument.
    """
    if value is not None and not (math.isfinite(value) and 0 <= value <= 1):
        raise InputError(f"{name}: expected a number in 0..1, got {value}")


def check_least(name: str, value: int | None, least: int) -> None:
    """Refuses a number that is given but smaller than `least`.

    Raises:
        InputError: it is; the text names the argument.
    """
    if value is not None and value < least:
        raise InputError(f"{name}: expected at least {least}, got {value}")
