"""The points of a PLY file: text, little-endian or big-endian.

Only the element `vertex` is read. Other elements, and the properties that are not needed, may be damaged or of unknown
types as long as the file shows where the points are.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from dspdet3d_ros.clouds.columns import RawPoints, as_declared, wanted
from dspdet3d_ros.clouds.text import as_bytes, header_lines, number_lines, read_numbers
from dspdet3d_ros.errors import InputError

VERTEX = "vertex"
_BYTE_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_AGAIN = "write or copy it again"
# Python refuses to read numbers of thousands of digits.
_MOST_DIGITS = 100
_TYPES = {
    **dict.fromkeys(("char", "byte", "int8"), "i1"),
    **dict.fromkeys(("uchar", "ubyte", "uint8", "bool", "boolean"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("long", "longlong", "int64"), "i8"),
    **dict.fromkeys(("ulong", "ulonglong", "uint64"), "u8"),
    **dict.fromkeys(("half", "float16"), "f2"),
    **dict.fromkeys(("float", "float32", "single"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
    # Occupies its bytes; the value is not needed.
    "float128": "V16",
}
_NUMPY_TYPE = re.compile(r"[iu][1248]|f[248]")


@dataclass(frozen=True)
class Property:
    """One property of an element.

    Attributes:
        name: as in the header; names with spaces are joined by one space.
        kind: type as in the header.
        length_kind: type of the length of a list; None for a single value.
    """

    name: str
    kind: str
    length_kind: str | None = None


@dataclass
class Element:
    """One element of the header: `count` rows of the same properties."""

    name: str
    count: int
    properties: list[Property] = field(default_factory=list)


def read_ply(path: Path) -> RawPoints:
    """Reads the points of a PLY file.

    Raises:
        InputError: there are no points, or the header and the data do not fit; the text does not name the file.
    """
    data = as_bytes(path.read_bytes())
    byte_order, elements, start = _header(data)
    names = [element.name for element in elements]
    if VERTEX not in names:
        raise InputError(f"has no element '{VERTEX}' (elements: {', '.join(names) or 'none'}); name a file with points")
    index = names.index(VERTEX)
    before, vertex, after = elements[:index], elements[index], elements[index + 1 :]
    if vertex.count > len(data):
        raise InputError(f"promises {vertex.count} points, but has {len(data)} bytes; {_AGAIN}")
    if not byte_order:
        return RawPoints.from_fields(_text_fields(data, start, before, vertex, followed=any(e.count for e in after)))
    for element in before:
        _, start = _binary_rows(data, start, element, byte_order)
    rows, _ = _binary_rows(data, start, vertex, byte_order)
    singles = [p.name for p in vertex.properties if p.length_kind is None]
    return RawPoints.from_fields((name, rows[f"{i}"]) for i, name in enumerate(singles))


def _header(data: bytes) -> tuple[str, list[Element], int]:
    """The byte order, empty for text; the elements; and the offset of the data."""
    lines = header_lines(data)
    words, _ = next(lines, ([""], 0))
    if words[0].lower() != "ply":
        raise InputError(
            f"is no PLY file: it begins with {data[:20].decode('latin-1')!r}; name another file, or copy it again"
        )
    byte_order, elements = None, []
    for words, start in lines:
        key, count = words[0].lower(), len(words)
        if key == "end_header":
            if byte_order is None:
                raise InputError(f"has no PLY header line 'format'; {_AGAIN}")
            return byte_order, elements, start
        if key == "format" and count > 1:
            byte_order = _BYTE_ORDERS.get(words[1].lower())
            if byte_order is None:
                raise InputError(f"has the unknown PLY format '{words[1]}'; write it as {', '.join(_BYTE_ORDERS)}")
        elif key == "element" and count > 2:
            if not (words[-1].isascii() and words[-1].isdigit()) or len(words[-1]) > _MOST_DIGITS:
                raise InputError(
                    f"has the element '{words[1]}' of count '{words[-1][:20]}'; write a whole number there"
                )
            elements.append(Element(" ".join(words[1:-1]).lower(), int(words[-1])))
        elif key == "property" and elements and count > 1:
            elements[-1].properties.append(_property(words[1:]))
    raise InputError(f"has no complete PLY header (no line 'end_header'); {_AGAIN}")


def _property(words: list[str]) -> Property:
    kind = words[0].lower()
    if kind == "list" and len(words) > 2:
        return Property(" ".join(words[3:]), words[2].lower(), words[1].lower())
    if kind == "unsigned" and len(words) > 2:
        return Property(" ".join(words[2:]), "u" + words[1].lower())
    return Property(" ".join(words[1:]), kind)


def _code(kind: str) -> str | None:
    """Numpy's code of a type; None if it is unknown."""
    kind = kind.removesuffix("_t")
    return _TYPES.get(kind) or (kind if _NUMPY_TYPE.fullmatch(kind) else None)


def _text_fields(
    data: bytes, start: int, before: list[Element], vertex: Element, followed: bool
) -> list[tuple[str, np.ndarray]]:
    """The needed properties of the points of a text file.

    Args:
        data: the file.
        start: offset of the first row.
        before: elements whose rows come first.
        vertex: the points.
        followed: whether rows of other elements come behind them.
    """
    lines = number_lines(data, start)
    deque(islice(lines, min(sum(element.count for element in before), len(data))), maxlen=0)
    if any(p.length_kind for p in vertex.properties):
        lines = (_without_lists(line, vertex.properties) for line in lines)
    singles = [p for p in vertex.properties if p.length_kind is None]
    columns = wanted(p.name for p in singles)
    ends = _Ends()
    values = read_numbers(ends.watch(islice(lines, vertex.count)), columns)
    if len(values) < vertex.count or (followed and ends.differ()):
        raise InputError(f"has fewer points than the {vertex.count} that its PLY header promises; {_AGAIN}")
    types = [np.dtype(_code(singles[column].kind) or "f8") for column in columns]
    return [(singles[c].name, as_declared(singles[c].name, values[:, i], types[i])) for i, c in enumerate(columns)]


class _Ends:
    """The first and the last of some lines."""

    def __init__(self) -> None:
        self._first = self._last = ""

    def watch(self, lines: Iterator[str]) -> Iterator[str]:
        """The same lines."""
        for line in lines:
            self._first = self._first or line
            self._last = line
            yield line

    def differ(self) -> bool:
        """Whether they have different numbers of columns, so that the last one is a row of something else."""
        return len(self._first.split()) != len(self._last.split())


def _without_lists(line: str, properties: list[Property]) -> str:
    """A row of text without the values of its lists."""
    words, kept = iter(line.split()), []
    for p in properties:
        word = next(words, "")
        if p.length_kind is None:
            kept.append(word)
        elif word.isdigit():
            deque(islice(words, min(int(word[:18]), len(line))), maxlen=0)
    return " ".join(kept)


def _binary_rows(data: bytes, start: int, element: Element, byte_order: str) -> tuple[np.ndarray, int]:
    """The rows of an element, whose single values are the fields "0", "1", ...; and the offset behind them.

    Raises:
        InputError: a type is unknown, or the data is too short.
    """
    layout = [_layout(p, element, byte_order) for p in element.properties]
    row = _first_row(data, start, layout)
    end = start + element.count * row.itemsize
    lengths = [name for name in row.names or () if name.startswith("length")]
    if end <= len(data):
        rows = np.frombuffer(data, row, element.count, start) if row.itemsize else np.empty(0, row)
        if all((rows[name] == rows[name][:1]).all() for name in lengths):
            return rows, end
    if lengths and element.count <= len(data) - start:
        return _rows_of_different_sizes(data, start, element, layout)
    raise _too_short(element, len(data) - start)


def _layout(p: Property, element: Element, byte_order: str) -> tuple[np.dtype, np.dtype | None]:
    """The types of a property's values and, for a list, of its length."""
    code, length = _code(p.kind), _code(p.length_kind or "uchar")
    if code is None or length is None or length[0] not in "iu":
        raise InputError(
            f"has the property '{p.name}' of the unknown type '{p.kind}' in element '{element.name}', "
            "which hides where the points are; write the file without that property"
        )
    return np.dtype(byte_order + code), np.dtype(byte_order + length) if p.length_kind else None


def _first_row(data: bytes, start: int, layout: list[tuple[np.dtype, np.dtype | None]]) -> np.dtype:
    """The type of the row at an offset. Most often all rows are like the first, as triangles are."""
    fields: list[tuple[str, np.dtype]] = []
    at, singles = start, 0
    for dtype, length in layout:
        if length is None:
            fields.append((f"{singles}", dtype))
            singles, at = singles + 1, at + dtype.itemsize
        else:
            after = _after_list(data, at, dtype, length)
            # A list that goes beyond the end need not be longer to be refused.
            size = min(after - at - length.itemsize, len(data))
            fields += [(f"length{at}", length), (f"list{at}", np.dtype(f"V{size}"))]
            at = after
    return np.dtype(fields)


def _rows_of_different_sizes(
    data: bytes, start: int, element: Element, layout: list[tuple[np.dtype, np.dtype | None]]
) -> tuple[np.ndarray, int]:
    """The single values of all rows, and the offset behind them; row by row."""
    singles = [dtype for dtype, length in layout if length is None]
    kept, at = bytearray(), start
    for _ in range(element.count):
        for dtype, length in layout:
            if length is None:
                kept += data[at : at + dtype.itemsize]
                at += dtype.itemsize
            else:
                at = _after_list(data, at, dtype, length)
        if at > len(data):
            raise _too_short(element, len(data) - start)
    row = np.dtype([(f"{i}", dtype) for i, dtype in enumerate(singles)])
    return np.frombuffer(bytes(kept), row) if singles else np.empty(0, row), at


def _after_list(data: bytes, at: int, dtype: np.dtype, length: np.dtype) -> int:
    """The offset behind a list that begins with its length."""
    order: Literal["big", "little"] = "big" if length.byteorder == ">" else "little"
    values = int.from_bytes(data[at : at + length.itemsize], order, signed=length.kind == "i")
    return at + length.itemsize + max(0, values) * dtype.itemsize


def _too_short(element: Element, size: int) -> InputError:
    return InputError(
        f"has {size} bytes for the {element.count} entries of '{element.name}' that its PLY header promises; {_AGAIN}"
    )
