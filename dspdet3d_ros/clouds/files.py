"""Clouds from files: .npz, .npy, .ply, .pcd and float32 .bin."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.arrays import check_archive, read_npy
from dspdet3d_ros.clouds.cloud import ANY_CLASS, Cloud, LabelledBoxes, point_type, usable
from dspdet3d_ros.clouds.columns import Columns, to_rgb8
from dspdet3d_ros.clouds.pcd import read_pcd
from dspdet3d_ros.errors import InputError, missing_package, no_such_file, text_of
from dspdet3d_ros.geometry import box_around

BIN_COLUMNS = 6
_BIN_LAYOUT = "write it as float32 x y z r g b per point"
POINT_KEYS = ("xyz", "points", "pos")
COLOUR_KEYS = ("rgb", "color", "colors")
NAME_KEYS = ("names", "labels")
BACKGROUND = 0
MAX_PLY_HEADER_BYTES = 1 << 16


def read_cloud(path: str | Path) -> Cloud:
    """Reads a cloud; the suffix of the file decides how.

    .npz: `xyz` (N, 3), times `scale` if there is one; `rgb` (N, 3) if there is one; ground truth from `boxes` (K, 6:
        centre and size, metres) with `names` (K strings), or else from `inst` (N; object number of each point, 0 is
        background) as the extent of each object's points that are kept. Without `xyz`, the first (N, 3 or more) array.
    .npy: (N, 3 or more): x y z, then r g b if there are six columns.
    .ply: the `vertex` element with x y z and red green blue, text or binary.
    .pcd: x y z and rgb; ascii, binary or binary_compressed.
    .bin: float32, little-endian, six a point: x y z r g b.

    Coordinates of more digits than float32 holds (float64, integers of 32 bits and more) are read as float64. Colours
    may be 0..255 or, where all are floats within 0..1, fractions. Points with a coordinate that is not finite, or
    beyond float32, are dropped. Nothing is ever unpickled.

    Raises:
        InputError: the file is missing, damaged, of an unknown kind or holds no finite point.
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: unknown kind of cloud file '{path.suffix}'; convert it to {', '.join(_READERS)}")
    # Unlike Path.is_file it answers for any name, one that is too long for a file as well.
    if not os.path.isfile(path):
        raise no_such_file(path)
    try:
        columns = reader(path)
        return _cloud(columns)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        # A damaged file makes the parsers raise anything: zip, struct, decoding, memory errors.
        detail = text_of(error)
        raise InputError(
            f"{path}: cannot be read as {path.suffix.lower()}: {detail}; write or copy it again"
        ) from error


def _cloud(columns: Columns) -> Cloud:
    """Drops points that are not finite and brings the arrays into the types of a Cloud."""
    xyz = _coordinates(columns.xyz)
    finite = usable(xyz)
    if not finite.any():
        raise InputError(f"holds no finite point (of {len(xyz)}); expected x, y, z in metres; record it again")
    rgb = columns.rgb
    if not finite.all():
        xyz, rgb = xyz[finite], None if rgb is None else rgb[finite]
    return Cloud(xyz, rgb, columns.truth)


def _coordinates(xyz: np.ndarray) -> np.ndarray:
    """The same numbers, in the type that a Cloud holds them in."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.ascontiguousarray(xyz, point_type(xyz.dtype))


def _read_npz(path: Path) -> Columns:
    check_archive(path)
    with np.load(path, allow_pickle=False) as archive:
        key = next((key for key in POINT_KEYS if key in archive), None)
        stored = archive[key] if key else _first_points(archive)
        xyz = _points(stored)[:, :3]
        if "scale" in archive:
            xyz = xyz.astype(point_type(xyz.dtype)) * _scale(archive["scale"])
        colour_key = next((key for key in COLOUR_KEYS if key in archive), None)
        rgb = _per_point(archive, colour_key, len(xyz)) if colour_key else None
        rgb = to_rgb8(rgb) if rgb is not None else _trailing_colours(stored)
        return Columns(xyz, rgb, _truth(archive, xyz))


def _read_npy(path: Path) -> Columns:
    stored = read_npy(path)
    if not isinstance(stored, np.ndarray):
        raise InputError("is an .npz archive with the suffix .npy; rename it")
    if stored.dtype.names:
        return Columns.from_table(stored)
    points = _points(stored)
    return Columns(points[:, :3], _trailing_colours(points))


def _read_ply(path: Path) -> Columns:
    try:
        from plyfile import PlyData
    except ImportError:
        raise missing_package("reading .ply", "plyfile") from None
    _check_counts(path)
    elements = PlyData.read(str(path))
    if "vertex" not in elements:
        raise InputError("has no element 'vertex', where the points of a .ply are; name another file")
    return Columns.from_table(elements["vertex"].data)


def _check_counts(path: Path) -> None:
    """Refuses a .ply that promises more entries than it has bytes: plyfile makes room for all of them first."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(MAX_PLY_HEADER_BYTES)
    for line in head.split(b"end_header")[0].splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == b"element" and words[2].isdigit() and int(words[2][:20]) > size:
            name, count = (word[:20].decode("ascii", "replace") for word in words[1:])
            raise InputError(f"promises {count} entries of '{name}', but has {size} bytes; write or copy it again")


def _read_bin(path: Path) -> Columns:
    size = path.stat().st_size
    if size % (4 * BIN_COLUMNS):
        raise InputError(f"has {size} bytes, no multiple of {4 * BIN_COLUMNS}; {_BIN_LAYOUT}")
    points = np.fromfile(path, "<f4").reshape(-1, BIN_COLUMNS)
    rgb = to_rgb8(points[:, 3:])
    if rgb is None:
        raise InputError(f"columns 4 to 6 are no colours (0..255); {_BIN_LAYOUT}")
    return Columns(points[:, :3], rgb)


_READERS: dict[str, Callable[[Path], Columns]] = {
    ".npz": _read_npz,
    ".npy": _read_npy,
    ".ply": _read_ply,
    ".pcd": read_pcd,
    ".bin": _read_bin,
}


def _first_points(archive: Any) -> np.ndarray:
    for key in archive.files:
        array = archive[key]
        if array.ndim == 2 and array.shape[1] >= 3 and array.dtype.kind in "fiu":
            return array
    raise InputError(f"has no points (arrays: {', '.join(archive.files) or 'none'}); save them as 'xyz', (N, 3) metres")


def _points(array: np.ndarray) -> np.ndarray:
    if array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in "fiu":
        raise InputError(f"points have shape {array.shape} and type {array.dtype}; save them as (N, 3 or more) numbers")
    return array


def _scale(array: np.ndarray) -> float:
    if array.size != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all() or float(array.item()) <= 0:
        raise InputError(f"'scale' is {array}; save one positive number, the metres that one unit of 'xyz' is")
    return float(array.item())


def _per_point(archive: Any, key: str, points: int) -> np.ndarray:
    array = archive[key]
    if len(array.shape) == 0 or len(array) != points:
        raise InputError(f"'{key}' has shape {array.shape}, but there are {points} points; save a row for each")
    return array


def _trailing_colours(points: np.ndarray) -> np.ndarray | None:
    """Columns 4 to 6 where the values can be colours; negative ones are normals, say."""
    return to_rgb8(points[:, 3:6]) if points.ndim == 2 and points.shape[1] >= 6 else None


def _truth(archive: Any, xyz: np.ndarray) -> LabelledBoxes | None:
    if "boxes" in archive:
        boxes = np.asarray(archive["boxes"])
        key = next((key for key in NAME_KEYS if key in archive), None)
        return _labelled(boxes, archive[key] if key else None)
    if "inst" in archive:
        return _extents(xyz, _per_point(archive, "inst", len(xyz)))
    return None


def _labelled(boxes: np.ndarray, names: np.ndarray | None) -> LabelledBoxes:
    if boxes.size == 0:
        return LabelledBoxes(np.empty((0, 6)), ())
    if boxes.ndim != 2 or boxes.shape[1] != 6 or boxes.dtype.kind not in "fiu":
        raise InputError(f"'boxes' has shape {boxes.shape}; save (K, 6): axis-aligned centre and size in metres")
    boxes = boxes.astype(np.float64)
    if not np.isfinite(boxes).all() or (boxes[:, 3:] <= 0).any():
        raise InputError(
            "'boxes' has values that are not finite or sizes that are not positive; correct them, or save none"
        )
    if names is None or names.dtype.kind not in "US":
        return LabelledBoxes(boxes, (ANY_CLASS,) * len(boxes))
    if names.shape != (len(boxes),):
        raise InputError(f"there are {len(boxes)} boxes, but names of shape {names.shape}; save one for each box")
    texts = names.astype(str)
    return LabelledBoxes(boxes, tuple(str(name) for name in texts))


def _extents(xyz: np.ndarray, instances: np.ndarray) -> LabelledBoxes:
    """Visible extents of the objects whose points are numbered, of those that have usable points."""
    xyz = _coordinates(xyz)
    rows = usable(xyz) & (instances != BACKGROUND)
    xyz, instances = xyz[rows], instances[rows]
    extents = [box_around(xyz[instances == instance]) for instance in np.unique(instances)]
    boxes = np.array(extents, np.float64).reshape(-1, 6)
    return LabelledBoxes(boxes, (ANY_CLASS,) * len(boxes))
