"""Header lines and rows of numbers, as text formats of clouds have them."""

import codecs
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from dspdet3d_ros.errors import InputError, text_of

#: Maximum length of a header, with comments.
MAX_HEADER_BYTES = 1 << 20

# Text that was transferred in the wrong mode has several carriage returns before each line feed.
_LINE_END = re.compile(rb"\r{0,3}\n|\r")
# How the C library of Windows prints NaN and infinity, with the digits that a precision adds.
_ODD_NUMBER = re.compile(r"[+-]?(?:\d+\.#\w*|nan\(\w*\))", re.I)


def as_bytes(data: bytes) -> bytes:
    """The data without a byte-order mark; UTF-16 becomes UTF-8.

    Raises:
        UnicodeDecodeError: the byte-order mark is that of UTF-16, but the data is not.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16").encode()
    return data[len(codecs.BOM_UTF8) :] if data.startswith(codecs.BOM_UTF8) else data


def header_lines(data: bytes) -> Iterator[tuple[list[str], int]]:
    """The words of each line that has some, and the offset of the data behind the line.

    All single-byte encodings have the same ASCII characters, so that the others may be of any.
    """
    start = 0
    ends: set[bytes] = set()
    while start < min(len(data), MAX_HEADER_BYTES):
        found = _LINE_END.search(data, start, MAX_HEADER_BYTES)
        stop, after = found.span() if found else (len(data), len(data))
        line = data[start:stop].decode("latin-1")
        # If all lines end in a carriage return, a line feed behind the last one is the first byte of the data.
        start = stop + 1 if ends == {b"\r"} else after
        ends.add(data[stop:after])
        words = line.split()
        if words:
            yield words, start


def number_lines(data: bytes, start: int) -> Iterator[str]:
    """The lines from an offset on that are neither blank nor comments; NaN is written as `nan` in them."""
    stream = io.BytesIO(data)
    stream.seek(start)
    odd = data.find(b"#", start) >= 0 or data.find(b"(", start) >= 0
    for line in io.TextIOWrapper(stream, "latin-1"):
        if odd and ("#" in line or "(" in line):
            if line.lstrip().startswith("#"):
                continue
            line = _ODD_NUMBER.sub("nan", line)
        if not line.isspace():
            yield line


def read_numbers(lines: Iterable[str], columns: Sequence[int]) -> np.ndarray:
    """(rows, len(columns)) float64: some of the columns of lines of numbers that white space separates.

    Other columns may hold anything, and need not be there.

    Raises:
        InputError: a column is missing or holds something else; the text names the row.
    """
    lines = iter(lines)
    first = next(lines, None)
    if first is None or not columns:
        return np.empty((sum(1 for _ in lines) + (first is not None), len(columns)))
    try:
        return np.loadtxt(chain([first], lines), usecols=columns, comments=None, ndmin=2)
    except (ValueError, IndexError) as error:
        raise InputError(f"has a row of points that cannot be read: {text_of(error)}; write or copy it again") from None
