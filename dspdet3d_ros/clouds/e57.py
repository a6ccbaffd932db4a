"""Points of E57 files, read with pye57: all scans of a file, in its common frame."""

from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.columns import RawPoints, to_rgb8
from dspdet3d_ros.errors import InputError, missing_package

_AXES = ("cartesianX", "cartesianY", "cartesianZ")
_COLOURS = ("colorRed", "colorGreen", "colorBlue")
# A point has three coordinates of at least one bit.
_LEAST_BITS = 3


def read_e57(path: Path) -> RawPoints:
    """Reads and joins the scans of a file; the pose of each scan is applied, invalid points are left out.

    Raises:
        InputError: pye57 is missing, or the header promises more points than the file can hold; the text does not name
            the file.
        Exception: pye57's own errors for a damaged file.
    """
    try:
        import pye57
    except ImportError:
        raise missing_package(".e57 files", "pye57") from None
    file = pye57.E57(str(path))
    try:
        headers = [file.get_header(number) for number in range(file.scan_count)]
        size, promised = path.stat().st_size, sum(header.point_count for header in headers)
        if promised * _LEAST_BITS > size * 8:
            raise InputError(f"promises {promised} points, but has {size} bytes; write or copy it again")
        scans = [_scan(file, number, header) for number, header in enumerate(headers)]
    finally:
        file.close()
    xyz = np.concatenate([np.empty((0, 3)), *(scan.xyz for scan in scans)])
    if all(scan.rgb is None for scan in scans):
        return RawPoints(xyz)
    # Scans without colours are black.
    colours = [np.zeros(scan.xyz.shape, np.uint8) if scan.rgb is None else scan.rgb for scan in scans]
    return RawPoints(xyz, np.concatenate(colours))


def _scan(file: Any, number: int, header: Any) -> RawPoints:
    if not header.point_count:
        return RawPoints(np.empty((0, 3)))
    coloured = set(_COLOURS) <= set(header.point_fields)
    try:
        values = file.read_scan(number, colors=coloured, ignore_missing_fields=True)
    except Exception:
        # pye57 reads colours of 8 bits only.
        if not coloured:
            raise
        coloured, values = False, file.read_scan(number, ignore_missing_fields=True)
    xyz = np.column_stack([values[axis] for axis in _AXES])
    return RawPoints(xyz, to_rgb8(np.column_stack([values[name] for name in _COLOURS])) if coloured else None)
