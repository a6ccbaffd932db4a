"""Checks of the numbers that several commands take."""

import math

from dspdet3d_ros.errors import InputError


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
