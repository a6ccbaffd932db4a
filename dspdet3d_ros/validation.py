"""Settings that a user writes: dataclasses whose values are checked, each by its declared type and its range."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from dspdet3d_ros.errors import InputError

Settings = TypeVar("Settings")

_LONGEST_SHOWN = 200
#: What one value of a type is called, and what several are.
_CALLED = {
    bool: ("true or false", "truth values"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("non-empty text", "non-empty texts"),
    type(None): ("nothing", "nothings"),
}


@dataclass(frozen=True)
class Range:
    """Which numbers a setting may be: `least` to `most`, but not `least` itself where they lie `beyond` it."""

    least: float
    most: float = math.inf
    beyond: bool = False

    def __contains__(self, value: float) -> bool:
        return (value > self.least if self.beyond else value >= self.least) and value <= self.most

    def __str__(self) -> str:
        if math.isinf(self.most):
            return f"{'above' if self.beyond else 'of at least'} {self.least:g}"
        return f"of {self.least:g} to {self.most:g}"


POSITIVE = Range(0, beyond=True)
NOT_NEGATIVE = Range(0)
AT_LEAST_ONE = Range(1)
SHARE = Range(0, 1)


def settings_of(kind: type[Settings], values: Mapping[Any, Any]) -> Settings:
    """A dataclass of settings from plain values, where lists stand for tuples, in mappings too.

    Raises:
        InputError: a key is unknown or missing, or the dataclass refuses a value.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise InputError(f"{str(key)[:_LONGEST_SHOWN]}: unknown key; known are {', '.join(sorted(known))}")
    for key, field in known.items():
        if key not in values and field.default is MISSING:
            raise InputError(f"{key}: missing; add {_wanted(get_type_hints(kind)[key], None)}")
    return kind(**{key: _with_tuples(value) for key, value in values.items()})


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: tuple(part) if isinstance(part, list) else part for key, part in value.items()}
    return tuple(value) if isinstance(value, list) else value


def check_fields(settings: Any, ranges: Mapping[str, Range]) -> None:
    """Checks every value of a dataclass of settings.

    Types may be bool, int, float (finite; whole numbers are taken too), str (not empty), tuples of these, mappings from
    str to one of these, and unions.

    Args:
        settings: the dataclass.
        ranges: of the numbers, by the name of their field; each number of a tuple must be in it.

    Raises:
        InputError: names the first field whose value is not of its declared type, or out of its range.
    """
    types = get_type_hints(type(settings))
    for field in fields(settings):
        value, kind, allowed = getattr(settings, field.name), types[field.name], ranges.get(field.name)
        if not _fits(value, kind, allowed):
            got = str(list(value)) if isinstance(value, tuple) else repr(value)
            raise InputError(f"{field.name}: expected {_wanted(kind, allowed)}, got {got[:_LONGEST_SHOWN]}")


def _fits(value: Any, kind: Any, allowed: Range | None) -> bool:
    parts = get_args(kind)
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        parts = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(value) == len(parts) and all(map(_fits, value, parts, [allowed] * len(parts)))
    if get_origin(kind) is Mapping:
        return isinstance(value, dict) and all(
            _fits(key, parts[0], None) and _fits(part, parts[1], allowed) for key, part in value.items()
        )
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, part, allowed) for part in parts)
    if kind in (int, float):
        number = isinstance(value, (int, kind)) and not isinstance(value, bool)
        # So written, whole numbers beyond float and NaN are told as well as infinity.
        return number and abs(value) <= sys.float_info.max and (allowed is None or value in allowed)
    return isinstance(value, kind) and value != ""


def _wanted(kind: Any, allowed: Range | None) -> str:
    parts = get_args(kind)
    suffix = f" {allowed}" if allowed else ""
    if get_origin(kind) is tuple:
        count = "" if parts[-1] is Ellipsis else f"{len(parts)} "
        return f"a list of {count}{_CALLED[parts[0]][1]}{suffix}"
    if get_origin(kind) is Mapping:
        return f"for each of several names {_wanted(parts[1], allowed)}"
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_wanted(part, allowed) for part in parts)
    return f"{_CALLED[kind][0]}{suffix}"
