"""The PCD format of the Point Cloud Library: ascii, binary and binary_compressed, versions 0.5 to 0.7.

Format: https://pointclouds.org/documentation/tutorials/pcd_file_format.html
Headers are read as leniently as PCL and Open3D read them.
"""

import struct
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path

import numpy as np

from dspdet3d_ros.clouds.columns import RawPoints, as_declared, wanted
from dspdet3d_ros.clouds.text import as_bytes, header_lines, number_lines, read_numbers
from dspdet3d_ros.errors import InputError

# Defaults for versions before 0.6, which have neither.
_DEFAULTS = {"SIZE": "4", "TYPE": "F", "COUNT": "1"}
_OLD_NAMES = {"COLUMNS": "FIELDS"}
_PADDING = "_"
_KINDS = {"I": "i", "U": "u", "F": "f"}
_CODES = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_ENCODINGS = ("ascii", "binary", "binary_compressed")
_MAX_POINT_BYTES = 1 << 16
_AGAIN = "write or copy it again"
# Python refuses to read numbers of thousands of digits.
_MOST_DIGITS = 100


@dataclass(frozen=True)
class PcdHeader:
    """The text at the start of a PCD file.

    Attributes:
        names: of the fields, in file order.
        types: of the fields, little-endian; arrays if COUNT is above 1.
        points: the numbers of points in the header, the most certain first; empty if there are none.
        encoding: "ascii", "binary" or "binary_compressed".
    """

    names: tuple[str, ...]
    types: tuple[np.dtype, ...]
    points: tuple[int, ...]
    encoding: str


def read_pcd(path: Path) -> RawPoints:
    """Reads the points of a PCD file.

    Raises:
        InputError: the header is incomplete or contradicts the data; the text does not name the file.
    """
    data = as_bytes(path.read_bytes())
    header, start = _read_header(data)
    read = {"ascii": _from_ascii, "binary": _from_binary, "binary_compressed": _from_compressed}[header.encoding]
    return RawPoints.from_fields(read(header, data, start))


def _read_header(data: bytes) -> tuple[PcdHeader, int]:
    """The header, and the offset of the points."""
    entries: dict[str, list[str]] = {}
    for words, start in header_lines(data):
        key = words[0].upper()
        # Lines that no version of the format knows are skipped, as PCL and Open3D do.
        entries[_OLD_NAMES.get(key, key)] = " ".join(words[1:]).split("#")[0].split()
        if key == "DATA":
            names, types = _fields(entries)
            return PcdHeader(names, types, _point_counts(entries), _encoding(entries)), start
    raise InputError("has no complete PCD header (no line 'DATA'); write it again, or take another format")


def _encoding(entries: dict[str, list[str]]) -> str:
    encoding = " ".join(entries["DATA"]).lower() or "ascii"
    if encoding not in _ENCODINGS:
        raise InputError(f"has the unknown PCD encoding '{encoding}'; write it as {', '.join(_ENCODINGS)}")
    return encoding


def _fields(entries: dict[str, list[str]]) -> tuple[tuple[str, ...], tuple[np.dtype, ...]]:
    names = entries.get("FIELDS", [])
    if not names:
        raise InputError("has no PCD header line 'FIELDS'; write it again, or take another format")
    columns = [entries.get(key) or [default] * len(names) for key, default in _DEFAULTS.items()]
    if any(len(column) != len(names) for column in columns):
        raise InputError(
            "has PCD header lines FIELDS, SIZE, TYPE and COUNT of different lengths; give an entry for each field"
        )
    types, size = [], 0
    for name, width, kind, count in zip(names, *columns, strict=True):
        if not all(text.isascii() and text.isdigit() and int(text[:9]) > 0 for text in (width, count)):
            raise InputError(
                f"has the PCD field '{name}' of size {width} and count {count}; write whole numbers from 1"
            )
        size += int(width[:9]) * int(count[:9])
        if size > _MAX_POINT_BYTES:
            raise InputError(f"has PCD fields of more than {_MAX_POINT_BYTES} bytes a point; {_AGAIN}")
        # An unknown type does no harm in a field that is not needed.
        code = f"{_KINDS.get(kind[:1].upper(), '?')}{int(width)}"
        values = np.dtype(f"<{code}" if code in _CODES else f"V{int(width)}")
        types.append(values if int(count) == 1 else np.dtype((values, (int(count),))))
    return tuple(names), tuple(types)


def _point_counts(entries: dict[str, list[str]]) -> tuple[int, ...]:
    counts = []
    for keys in (("POINTS",), ("WIDTH", "HEIGHT")):
        if keys[0] not in entries:
            continue
        texts = [entries[key][0] if entries[key] else "" for key in keys if key in entries]
        if not all(text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS for text in texts):
            raise InputError(
                f"has the PCD header line {' or '.join(keys)} without a whole number; write the number of points there"
            )
        counts.append(prod(int(text) for text in texts))
    return tuple(dict.fromkeys(count for count in counts if count or not any(counts)))


def _from_ascii(header: PcdHeader, data: bytes, start: int) -> list[tuple[str, np.ndarray]]:
    lines = number_lines(data, start)
    most = max(header.points, default=len(data))
    firsts = np.cumsum([0, *(prod(dtype.shape) for dtype in header.types)])
    fields = wanted(header.names)
    columns = [column for i in fields for column in range(firsts[i], firsts[i + 1])]
    values = read_numbers(islice(lines, min(most, len(data))), columns)
    points = _points(header, len(values), f"has {len(values)} rows of points")
    table, at = [], 0
    for i in fields:
        count = prod(header.types[i].shape)
        of_field = values[:points, at : at + count].reshape(points, *header.types[i].shape)
        table.append((header.names[i], as_declared(header.names[i], of_field, header.types[i].base)))
        at += count
    return table


def _from_binary(header: PcdHeader, data: bytes, start: int) -> list[tuple[str, np.ndarray]]:
    row = np.dtype([(f"{i}", dtype) for i, dtype in enumerate(header.types)])
    size = len(data) - start
    points = _points(header, size // row.itemsize, f"has {size} bytes of points of {row.itemsize} bytes each")
    table = np.frombuffer(data, row, points, start)
    return [(name, table[f"{i}"]) for i, name in enumerate(header.names)]


def _from_compressed(header: PcdHeader, data: bytes, start: int) -> list[tuple[str, np.ndarray]]:
    """Fields lie one after another (all x, all y, ...), then the whole is LZF-compressed behind its two sizes."""
    if len(data) - start < 8:
        raise InputError(f"ends before its compressed points; {_AGAIN}")
    compressed, size = struct.unpack_from("<II", data, start)
    source = memoryview(data)[start + 8 : start + 8 + compressed]
    fields = list(zip(header.names, header.types, strict=True))
    # PCL stores no padding here, although its header may name it.
    stored = [field for field in fields if field[0] != _PADDING]
    for candidate in (fields, stored):
        step = sum(dtype.itemsize for _, dtype in candidate)
        points = next((n for n in header.points or (size // step,) if n * step == size), None) if step else None
        if points is not None and len(source) == compressed:
            return _unpacked_fields(candidate, points, _decompressed(source, size))
    raise InputError(
        f"has {len(source)} of {compressed} compressed bytes for {size} bytes of points, "
        f"its PCD header promises {_promised(header)}; {_AGAIN}"
    )


def _unpacked_fields(
    fields: list[tuple[str, np.dtype]], points: int, data: bytes | bytearray | memoryview
) -> list[tuple[str, np.ndarray]]:
    table, start = [], 0
    for name, dtype in fields:
        values = np.frombuffer(data, dtype.base, points * prod(dtype.shape), start)
        table.append((name, values.reshape(points, *dtype.shape)))
        start += points * dtype.itemsize
    return table


def _points(header: PcdHeader, available: int, has: str) -> int:
    """The number of points to read: the first number of the header for which there is enough data, else all.

    Raises:
        InputError: the header promises more.
    """
    exact = next((count for count in header.points if count == available), None)
    points = exact if exact is not None else next((n for n in header.points if n <= available), None)
    if points is None and header.points:
        raise InputError(f"{has}, its PCD header promises {_promised(header)}; {_AGAIN}")
    return available if points is None else points


def _promised(header: PcdHeader) -> str:
    return " or ".join(f"{count} points" for count in header.points) or "no number of points"


def _decompressed(source: memoryview, size: int) -> bytes | bytearray | memoryview:
    """The decompressed content of `size` bytes; the bytes themselves if the writer did not compress them."""
    try:
        return _lzf_decompress(source, size)
    except InputError:
        if len(source) == size:
            return source
        raise


def _lzf_decompress(source: memoryview, size: int) -> bytearray:
    """Undoes LZF: a control byte below 32 precedes that many + 1 literal bytes; others are (length, distance) copies.

    Raises:
        InputError: the data does not unpack to exactly `size` bytes.
    """
    out, at, end = bytearray(), 0, len(source)
    try:
        while at < end and len(out) <= size:
            control = source[at]
            at += 1
            if control < 32:
                out += source[at : at + control + 1]
                at += control + 1
                continue
            length = control >> 5
            if length == 7:
                length += source[at]
                at += 1
            length += 2
            start = len(out) - ((control & 0x1F) << 8) - source[at] - 1
            at += 1
            _copy(out, start, length)
    except IndexError:
        at = end + 1
    if len(out) != size or at > end:
        raise InputError("has damaged compressed points; write or copy it again")
    return out


def _copy(out: bytearray, start: int, length: int) -> None:
    """Appends out[start : start + length]; if that reaches past the end, the piece repeats itself."""
    if start < 0:
        raise IndexError
    piece = out[start : start + length]
    while len(piece) < length:
        piece += piece[: length - len(piece)]
    out += piece
