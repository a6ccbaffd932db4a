"""Points of LAS and LAZ files, read with laspy; lazrs decompresses LAZ."""

import struct
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.columns import RawPoints, to_rgb8
from dspdet3d_ros.errors import InputError, missing_package

# Points are read in parts of this number, so that memory follows from the data and not from the header.
_CHUNK = 100_000
# Fewest bytes of the header, of a variable length record, and of a point.
_HEADER_BYTES, _RECORD_BYTES, _POINT_BYTES = 227, 54, 20
_AGAIN = "write or copy it again"


def read_las(path: Path) -> RawPoints:
    """Reads the points of a .las or .laz file. Points with the flag `withheld` are deleted ones and are left out.

    Raises:
        InputError: a package is missing, or the header and the data do not fit; the text does not name the file.
        Exception: laspy's and lazrs' own errors for a damaged file.
    """
    packages = ("laspy", "lazrs") if path.suffix.lower() == ".laz" else ("laspy",)
    for package in packages:
        try:
            import_module(package)
        except ImportError:
            raise missing_package(f"{path.suffix.lower()} files", package) from None
    import laspy

    _check_header(path)
    with laspy.open(path) as reader:
        header, size = reader.header, path.stat().st_size
        needed = header.point_count * header.point_format.size
        if not header.are_points_compressed and needed > size - header.offset_to_point_data:
            raise InputError(f"promises {header.point_count} points, but has {size} bytes; {_AGAIN}")
        colours = "red" in set(header.point_format.dimension_names)
        parts = [_part(points, colours) for points in reader.chunk_iterator(_CHUNK)]
    xyz = np.concatenate([part[0] for part in parts]) if parts else np.empty((0, 3))
    if len(xyz) == 0 or not colours:
        return RawPoints(xyz)
    rgb = np.concatenate([part[1] for part in parts])
    # Programs write points without colours in formats with colours.
    return RawPoints(xyz, to_rgb8(rgb) if rgb.any() else None)


def _part(points: Any, colours: bool) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) float64 metres of laspy's points, and (n, 3) uint16 colours; (n, 0) without colours."""
    kept = np.asarray(points.withheld) == 0
    xyz = np.column_stack([np.asarray(getattr(points, axis), np.float64) for axis in ("x", "y", "z")])
    if not colours:
        return xyz[kept], np.empty((int(kept.sum()), 0), np.uint16)
    rgb = np.column_stack([np.asarray(getattr(points, name), np.uint16) for name in ("red", "green", "blue")])
    return xyz[kept], rgb[kept]


def _check_header(path: Path) -> None:
    """Refuses headers whose numbers make laspy allocate or loop for more than the file can hold."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if not head.startswith(b"LASF"):
        raise InputError(f"is no LAS file: it begins with {head[:20].decode('latin-1')!r}; name another file")
    if len(head) < _HEADER_BYTES:
        raise InputError(f"has {len(head)} bytes, fewer than a LAS header; {_AGAIN}")
    header_bytes, offset, records = struct.unpack_from("<HII", head, 94)
    point_bytes = struct.unpack_from("<H", head, 105)[0]
    if header_bytes > size or offset > size or records * _RECORD_BYTES > size or point_bytes < _POINT_BYTES:
        raise InputError(f"has a LAS header that does not fit its {size} bytes; {_AGAIN}")
