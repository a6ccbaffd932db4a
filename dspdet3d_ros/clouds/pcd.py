"""The PCD format 0.7 of the Point Cloud Library: ascii, binary and binary_compressed.

Format: https://pointclouds.org/documentation/tutorials/pcd_file_format.html
"""

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dspdet3d_ros.clouds.columns import Columns
from dspdet3d_ros.errors import InputError

HEADER_KEYS = ("VERSION", "FIELDS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS", "DATA")
MAX_HEADER_BYTES = 1 << 16
KINDS = {"I": "i", "U": "u", "F": "f"}


@dataclass(frozen=True)
class PcdHeader:
    """What the text at the start of a file says.

    Attributes:
        dtype: one point; fields in file order, little-endian.
        points: number of points.
        encoding: "ascii", "binary" or "binary_compressed".
    """

    dtype: np.dtype
    points: int
    encoding: str


def read_pcd(path: Path) -> Columns:
    """Reads the points of a PCD file.

    Raises:
        InputError: the header is incomplete or contradicts the data; the text does not name the file.
    """
    with path.open("rb") as file:
        header = _read_header(file)
        body = file.read()
    if header.encoding == "ascii":
        table = _from_ascii(header, body)
    elif header.encoding == "binary":
        table = _from_binary(header, body)
    else:
        table = _from_compressed(header, body)
    return Columns.from_table(table)


def _read_header(file: io.BufferedReader) -> PcdHeader:
    entries: dict[str, list[str]] = {}
    while "DATA" not in entries:
        line = file.readline(MAX_HEADER_BYTES)
        if not line or file.tell() > MAX_HEADER_BYTES:
            raise InputError("has no complete PCD header (no line 'DATA'); write it again, or take another format")
        words = line.decode("ascii", "replace").split("#")[0].split()
        if not words:
            continue
        if words[0].upper() not in HEADER_KEYS:
            known = ", ".join(HEADER_KEYS)
            raise InputError(f"has the unknown PCD header line '{words[0][:40]}'; write it again with {known} only")
        entries[words[0].upper()] = words[1:]
    return PcdHeader(_point_type(entries), _point_count(entries), _encoding(entries))


def _encoding(entries: dict[str, list[str]]) -> str:
    encoding = " ".join(entries["DATA"]).lower()
    if encoding not in ("ascii", "binary", "binary_compressed"):
        raise InputError(f"has the unknown PCD encoding '{encoding}'; write it as ascii, binary or binary_compressed")
    return encoding


def _point_type(entries: dict[str, list[str]]) -> np.dtype:
    for key in ("FIELDS", "SIZE", "TYPE"):
        if key not in entries:
            raise InputError(f"has no PCD header line '{key}'; write it again, or take another format")
    names, sizes, kinds = entries["FIELDS"], entries["SIZE"], entries["TYPE"]
    counts = entries.get("COUNT", ["1"] * len(names))
    if not len(names) == len(sizes) == len(kinds) == len(counts):
        raise InputError(
            "has PCD header lines FIELDS, SIZE, TYPE and COUNT of different lengths; give an entry for each field"
        )
    fields = []
    for i, (name, size, kind, count) in enumerate(zip(names, sizes, kinds, counts, strict=True)):
        code = f"<{KINDS.get(kind.upper(), '?')}{size}"
        if code[1:] not in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8") or not count.isdigit():
            raise InputError(
                f"has the PCD field '{name}' of unknown type {kind}{size} or count {count}; "
                "write I or U of 1, 2, 4 or 8 bytes or F of 4 or 8, and a whole number"
            )
        # Padding fields share the name "_", which a structured type cannot.
        unique = f"{name}#{i}" if name == "_" or name in names[:i] else name
        fields.append((unique, code) if int(count) == 1 else (unique, code, (int(count),)))
    return np.dtype(fields)


def _point_count(entries: dict[str, list[str]]) -> int:
    try:
        grid = int(entries["WIDTH"][0]) * int(entries["HEIGHT"][0]) if "WIDTH" in entries else None
        points = int(entries["POINTS"][0]) if "POINTS" in entries else grid
    except (ValueError, KeyError, IndexError):
        raise InputError(
            "has PCD header lines WIDTH, HEIGHT or POINTS that are no numbers; write whole numbers there"
        ) from None
    if points is None or points < 0 or (grid is not None and grid != points):
        raise InputError(
            f"has contradicting PCD header lines: POINTS {points}, WIDTH times HEIGHT {grid}; make them the same"
        )
    return points


def _from_ascii(header: PcdHeader, body: bytes) -> np.ndarray:
    columns = sum(int(np.prod(header.dtype[name].shape)) for name in header.dtype.names or ())
    values = np.loadtxt(io.BytesIO(body), ndmin=2) if body.strip() else np.empty((0, columns))
    if values.shape != (header.points, columns):
        promised = (header.points, columns)
        raise InputError(f"has {values.shape} values, its PCD header promises {promised}; write or copy it again")
    table = np.empty(header.points, header.dtype)
    start = 0
    for name in header.dtype.names or ():
        width = int(np.prod(header.dtype[name].shape))
        column = values[:, start : start + width].reshape(table[name].shape)
        start += width
        if name in ("rgb", "rgba") and header.dtype[name] == np.dtype("<f4"):
            column = _packed_from_text(column)
        with np.errstate(over="ignore", invalid="ignore"):
            table[name] = column
    return table


def _packed_from_text(column: np.ndarray) -> np.ndarray:
    """Float colours of an ascii file, as float32 whose bits are 0x00RRGGBB.

    Most writers print the float with these bits (below 1e-37), some the integer itself.
    """
    printed_integers = ((column == np.rint(column)) & (column >= 0) & (column < 2**32)).all() and column.any()
    return column.astype(np.uint32).view(np.float32) if printed_integers else column.astype(np.float32)


def _from_binary(header: PcdHeader, body: bytes) -> np.ndarray:
    needed = header.points * header.dtype.itemsize
    if len(body) < needed:
        raise InputError(f"has {len(body)} bytes of points, its PCD header promises {needed}; write or copy it again")
    return np.frombuffer(body, header.dtype, count=header.points)


def _from_compressed(header: PcdHeader, body: bytes) -> np.ndarray:
    """Fields lie one after another (all x, all y, ...), then the whole is LZF-compressed behind its two sizes."""
    if len(body) < 8:
        raise InputError("ends before its compressed points; write or copy it again")
    compressed, size = struct.unpack_from("<II", body)
    needed = header.points * header.dtype.itemsize
    if size != needed or len(body) < 8 + compressed:
        raise InputError(
            f"has {len(body) - 8} of {compressed} compressed bytes for {size} bytes of points, "
            f"its PCD header promises {needed}; write or copy it again"
        )
    data = _lzf_decompress(memoryview(body)[8 : 8 + compressed], size)
    table = np.empty(header.points, header.dtype)
    start = 0
    for name in header.dtype.names or ():
        field = header.dtype[name]
        count = header.points * int(np.prod(field.shape))
        table[name] = np.frombuffer(data, field.base, count, start).reshape(table[name].shape)
        start += header.points * field.itemsize
    return table


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
    """Appends out[start : start + length]; where that reaches past the end, the piece repeats itself."""
    if start < 0:
        raise IndexError
    piece = out[start : start + length]
    while len(piece) < length:
        piece += piece[: length - len(piece)]
    out += piece
