"""Command-line arguments that several commands share, and checks of their numbers."""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from dspdet3d_ros import defaults
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.mapping.map_settings import DESCRIPTIONS, RANGES, MapSettings
from dspdet3d_ros.validation import Range, mismatch


def add_detector_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments for model, weights and engine."""
    parser.add_argument("--model", default=defaults.MODEL, help="name of a model or model file (default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, help="weight file (default: that of the model)")
    add_engine_arguments(parser)


def add_columns_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument for the number of values per point in a .bin file."""
    parser.add_argument(
        "--columns", type=int, metavar="N", help=f"{defaults.COLUMNS_HELP} (default: {defaults.BIN_COLUMNS})"
    )


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments for device, engine, precision and CPU threads of the network."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add_backend_argument(parser)
    parser.add_argument(
        "--precision",
        default="auto",
        choices=defaults.PRECISIONS,
        help="type of the features; fp16 needs triton (default: %(default)s)",
    )
    add_threads_argument(parser)


def add_backend_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument for the engine of the sparse convolutions."""
    parser.add_argument(
        "--backend",
        default="auto",
        choices=defaults.BACKENDS,
        help="engine of the sparse convolutions (default: %(default)s)",
    )


def add_frame_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments for upward axis and unit of a cloud file; see `clouds.upright`."""
    parser.add_argument("--up", choices=defaults.UPS, default="z", help=f"{defaults.UP_HELP} (default: %(default)s)")
    parser.add_argument(
        "--unit", choices=tuple(defaults.UNITS), default="m", help=f"{defaults.UNIT_HELP} (default: %(default)s)"
    )


def add_map_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments for the map of depth images; see `map_settings`."""
    group = parser.add_argument_group("map")
    for field in fields(MapSettings):
        option, text = f"--{field.name.replace('_', '-')}", f"{DESCRIPTIONS[field.name]} (default: {field.default})"
        if isinstance(field.default, bool):
            group.add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            group.add_argument(option, type=type(field.default), metavar="N", help=text)


def map_settings(args: argparse.Namespace) -> MapSettings:
    """The settings of the arguments of `add_map_arguments`.

    Raises:
        InputError: a value is out of range; the text names the argument.
    """
    given = {field.name: value for field in fields(MapSettings) if (value := getattr(args, field.name)) is not None}
    for name, value in given.items():
        check_number(f"--{name.replace('_', '-')}", value, RANGES.get(name))
    return MapSettings(**given)


def with_joined_axis(argv: Sequence[str]) -> list[str]:
    """The arguments with `--up=-y` in place of `--up -y`, as argparse takes a separate `-y` for an option."""
    joined: list[str] = []
    for argument in argv:
        if joined and joined[-1] == "--up" and argument in defaults.UPS:
            joined[-1] = f"--up={argument}"
        else:
            joined.append(argument)
    return joined


def add_threads_argument(parser: argparse.ArgumentParser, default: int | None = None) -> None:
    """Adds the argument for the number of CPU threads; `cli.main` checks and applies it.

    Args:
        parser: the parser.
        default: number of threads; None for torch's choice.
    """
    shown = "torch's choice" if default is None else default
    parser.add_argument("--threads", type=int, default=default, help=f"number of CPU threads (default: {shown})")


def add_views_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument for the number of views, which `check_views` checks."""
    parser.add_argument(
        "--views",
        type=int,
        help=f"number of turned views in which the network computes a cloud, 1..{defaults.MAX_VIEWS}: more find more "
        "objects and take as many times as long (default: that of the model)",
    )


def check_views(views: int | None) -> None:
    """Checks the number of views, if it is given.

    Raises:
        InputError: it is out of range.
    """
    check_number("--views", views, Range(1, defaults.MAX_VIEWS))


def check_number(name: str, value: float | None, allowed: Range | None = None) -> None:
    """Checks a number, if it is given.

    Args:
        name: of the argument, such as "--tau".
        value: its value; None if it is not given.
        allowed: allowed range; None allows every finite number.

    Raises:
        InputError: the value is out of range; the text names the argument.
    """
    text = None if value is None else mismatch(value, type(value), allowed)
    if text:
        raise InputError(f"{name}: {text}")
