"""Points of text files with one point per line: .xyz, .txt, .pts and .csv."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import numpy as np

from dspdet3d_ros.clouds.columns import RawPoints, are_clearly_colours, to_rgb8, wanted
from dspdet3d_ros.clouds.text import as_bytes, number_lines, read_numbers
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import of_unit_length

# Fewer rows without names of columns may be a matrix or a table.
_FEWEST_ROWS = 16
_HEAD_BYTES = 1 << 16
_COMMENT = re.compile(rb"\s*(?:#|//|%)")
# Names of coordinates with the number of the axis, as ParaView and VeloView write them, and with a unit.
_NUMBERED = re.compile(r"points?(?:_m_xyz)?[:_]([012])", re.I)
_METRES = re.compile(r"\s*(?:\[m\]|\(m\))$", re.I)
# The rows that show whether columns are quaternions.
_POSE_ROWS = 1000
_ROUNDING = 1e-3
_SAVE = "write rows of x y z, or of x y z r g b, with a first line that names the columns"


def read_rows(path: Path) -> RawPoints:
    """Reads one point per line. Columns are separated by white space, commas or semicolons.

    A first line may have names of columns, also as a comment (`//X Y Z R G B`), or the number of points. Without names
    the columns are x y z, and colours in columns 4 to 6, or 5 to 7 of a .pts file (x y z intensity r g b), where these
    can be colours only. With semicolons, numbers may have decimal commas. Poses are refused.

    Raises:
        InputError: a row has no numbers for the points, or the file may be a matrix; the text does not name the file.
    """
    data = as_bytes(path.read_bytes())
    names, count, start, first = _head(data)
    separator = _separator(first)
    lines = _lines(data, start, separator, decimal_comma=b";" in first)
    if names:
        columns = wanted(names)
        values = read_numbers(lines, columns)
        points = RawPoints.from_fields((names[column], values[:, i]) for i, column in enumerate(columns))
    else:
        points = _without_names(lines, len(_split(first, separator)), path.suffix.lower() == ".pts")
    if count is not None and len(points.xyz) < count:
        raise InputError(f"has {len(points.xyz)} rows, but its first line promises {count}; write or copy it again")
    return points


def _head(data: bytes) -> tuple[list[str], int | None, int, bytes]:
    """Names of columns, number of points if the file has it, offset of the first row, and the first row."""
    names: list[str] = []
    count, at = None, 0
    while at < min(len(data), _HEAD_BYTES):
        end = re.compile(rb"\r?\n|\r").search(data, at)
        stop, after = end.span() if end else (len(data), len(data))
        line = data[at:stop]
        comment = _COMMENT.match(line)
        body = line[comment.end() :] if comment else line
        words = _split(body, _separator(body))
        needed = [words[column] for column in wanted(names)] if len(words) == len(names) else words
        if words and all(_is_number(word) for word in needed) and not comment:
            if len(words) > 1 or count is not None or not words[0].isdigit():
                return names, count, at, line
            count = int(words[0][:18])
        elif words and not names and (not comment or {"x", "y", "z"} <= set(map(str.lower, words))):
            names = [_column_name(word) for word in words]
            if {"x", "y", "z"} - set(map(str.lower, names)):
                raise InputError(f"has the columns {', '.join(names[:8])} in its first line, not x, y and z; {_SAVE}")
        elif words and not comment:
            raise InputError(f"has a line without numbers: {body[:40].decode('latin-1')!r}; {_SAVE}")
        at = after
    raise InputError(f"has no rows of numbers; {_SAVE}")


def _column_name(word: str) -> str:
    """The name of a column without its unit; x, y or z for the coordinates of a numbered axis."""
    numbered = _NUMBERED.fullmatch(word)
    return "xyz"[int(numbered[1])] if numbered else _METRES.sub("", word)


def _separator(line: bytes) -> bytes:
    return next((mark for mark in (b";", b",") if mark in line), b"")


def _split(line: bytes, separator: bytes) -> list[str]:
    """The words of a line, without quotes."""
    text = line.decode("latin-1").replace('"', "")
    words = text.split(separator.decode()) if separator else text.split()
    return [word.strip() for word in words] if any(map(str.strip, words)) else []


def _is_number(word: str) -> bool:
    try:
        float(word.replace(",", ".") or "nan")
    except ValueError:
        return bool(re.fullmatch(r"[+-]?(\d+\.#\w*|nan\(\w*\))", word, re.I))
    return True


def _lines(data: bytes, start: int, separator: bytes, decimal_comma: bool) -> Iterator[str]:
    """The rows, with white space between the columns; an empty column is `nan`."""
    data = data[start:].replace(b'"', b"")
    if decimal_comma:
        data = data.replace(b",", b".")
    lines = number_lines(data, 0)
    if not separator:
        return lines
    mark = separator.decode()
    return (" ".join(word.strip() or "nan" for word in line.split(mark)) for line in lines)


def _without_names(lines: Iterator[str], width: int, intensity_first: bool) -> RawPoints:
    if width < 3:
        raise InputError(f"has rows of {width} columns; {_SAVE}")
    triples = [(4, 5, 6), (3, 4, 5)] if intensity_first else [(3, 4, 5)]
    colours = next((triple for triple in triples if width > triple[-1]), ())
    first = list(islice(lines, _POSE_ROWS))
    if width in (7, 8) and _end_in_quaternions(first):
        raise InputError(f"has rows of {width} columns that end in a quaternion, as poses do; {_SAVE}")
    values = read_numbers(chain(first, lines), [0, 1, 2, *colours])
    if len(values) < _FEWEST_ROWS:
        raise InputError(f"has {len(values)} rows without names of columns, which may be a matrix; {_SAVE}")
    if of_unit_length(values[:, :3], _ROUNDING):
        raise InputError(f"has rows that begin with a vector of length 1, as normals and matrices of poses do; {_SAVE}")
    rgb = to_rgb8(values[:, 3:]) if colours and are_clearly_colours(values[:, 3:]) else None
    return RawPoints(values[:, :3], rgb)


def _end_in_quaternions(lines: Sequence[str]) -> bool:
    """Whether the last four numbers of all rows have the length 1, and are not the same rotation or normals."""
    try:
        ends = np.array([[float(word) for word in line.split()[-4:]] for line in lines])
    except ValueError:
        return False
    return of_unit_length(ends, _ROUNDING) and bool(np.ptp(ends, axis=0).any() and ends[:, 3].any())
