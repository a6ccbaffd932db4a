"""Checks of types and ranges with one wording: for dataclasses of settings, command-line arguments and parameters."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from dspdet3d_ros.errors import InputError

Settings = TypeVar("Settings")

_LONGEST_SHOWN = 200
#: Names of one value of a type and of several.
_NAMES = {
    bool: ("true or false", "truth values"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    type(None): ("nothing", "nothings"),
}


@dataclass(frozen=True)
class Range:
    """The numbers that are allowed.

    Attributes:
        least: minimum; with `beyond`, all allowed numbers are larger.
        most: maximum.
        beyond: whether `least` itself is excluded.
    """

    least: float
    most: float = math.inf
    beyond: bool = False

    def __contains__(self, value: float) -> bool:
        return (value > self.least if self.beyond else value >= self.least) and value <= self.most

    def __str__(self) -> str:
        """The range as it follows "a number" in a sentence."""
        if math.isinf(self.most):
            return f"{'above' if self.beyond else 'of at least'} {self.least:g}"
        return f"in {self.interval}"

    @property
    def interval(self) -> str:
        """A range with a maximum, in short form."""
        return f"{self.least:g}..{self.most:.15g}"


POSITIVE = Range(0, beyond=True)
NOT_NEGATIVE = Range(0)
AT_LEAST_ONE = Range(1)
SHARE = Range(0, 1)


def mismatch(
    value: Any, kind: Any, allowed: Range | None = None, choices: Sequence[str] = (), empty_text: bool = True
) -> str | None:
    """Checks one value.

    Args:
        value: the value.
        kind: its type: bool, int, float (finite; integers are accepted too), str, tuples of these, mappings from
            texts to one of these, and unions.
        allowed: range of a number, or of each number of a tuple or mapping; None allows every number.
        choices: the only texts that are allowed; empty allows every text.
        empty_text: whether texts may be empty.

    Returns:
        None if the value fits, else one line: "expected a number in 0..1, got 2".
    """
    fits = _fits(value, kind, allowed, empty_text)
    if fits and (not choices or value in choices):
        return None
    wanted = _one_of(choices) if choices else _wanted(kind, allowed, empty_text)
    got = str(list(value)) if isinstance(value, tuple) else repr(value)
    return f"expected {wanted}, got {got[:_LONGEST_SHOWN]}"


def settings_of(kind: type[Settings], values: Mapping[Any, Any]) -> Settings:
    """A dataclass of settings from plain values, in which lists replace tuples, also in mappings.

    Raises:
        InputError: a key is unknown or missing, or the dataclass rejects a value.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(f"{str(key)[:_LONGEST_SHOWN]}: unknown key; known are {', '.join(sorted(known))}")
    for key, field in known.items():
        if key not in values and field.default is MISSING:
            raise InputError(f"{key}: missing; add {_wanted(get_type_hints(kind)[key], None, False)}")
    return kind(**{key: _with_tuples(value) for key, value in values.items()})


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: tuple(part) if isinstance(part, list) else part for key, part in value.items()}
    return tuple(value) if isinstance(value, list) else value


def check_fields(settings: Any, ranges: Mapping[str, Range]) -> None:
    """Checks every value of a dataclass of settings against the declared type of its field; see `mismatch`.

    Texts must not be empty.

    Args:
        settings: the dataclass.
        ranges: allowed range of numbers, by field name.

    Raises:
        InputError: a value has another type or is out of range; the text names the first such field.
    """
    types = get_type_hints(type(settings))
    for field in fields(settings):
        value = getattr(settings, field.name)
        text = mismatch(value, types[field.name], ranges.get(field.name), empty_text=False)
        if text:
            raise InputError(f"{field.name}: {text}")


def _fits(value: Any, kind: Any, allowed: Range | None, empty_text: bool) -> bool:
    parts = get_args(kind)
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        parts = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(value) == len(parts) and all(
            _fits(one, part, allowed, empty_text) for one, part in zip(value, parts, strict=True)
        )
    if get_origin(kind) is Mapping:
        return isinstance(value, dict) and all(
            _fits(key, parts[0], None, empty_text) and _fits(one, parts[1], allowed, empty_text)
            for key, one in value.items()
        )
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, part, allowed, empty_text) for part in parts)
    if kind in (int, float):
        number = isinstance(value, (int, kind)) and not isinstance(value, bool)
        # This comparison is False for infinity, for NaN and for integers too large for a float.
        return number and abs(value) <= sys.float_info.max and (allowed is None or value in allowed)
    return isinstance(value, kind) and (empty_text or value != "")


def _one_of(choices: Sequence[str]) -> str:
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last


def _wanted(kind: Any, allowed: Range | None, empty_text: bool) -> str:
    parts = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_wanted(part, allowed, empty_text) for part in parts)
    if get_origin(kind) is Mapping:
        return f"a mapping from names to {_wanted(parts[1], allowed, empty_text)}"
    one_of = parts[0] if get_origin(kind) is tuple else kind
    prefix = "non-empty " if one_of is str and not empty_text else ""
    suffix = f" {allowed}" if allowed and one_of in (int, float) else ""
    if get_origin(kind) is tuple:
        count = "" if parts[-1] is Ellipsis else f"{len(parts)} "
        return f"a list of {count}{prefix}{_NAMES[one_of][1]}{suffix}"
    return f"{prefix}{_NAMES[kind][0]}{suffix}"
