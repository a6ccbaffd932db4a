"""Clouds from numpy's .npz and .npy: selection of the arrays of points and colours.

An array counts as points by its name, or if it is the only one that can only be points. Every other file is
refused with a list of its arrays: camera matrices, poses, faces, images and tables are never taken for points.
"""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.arrays import Header, check_archive, read_npy
from dspdet3d_ros.clouds.cloud import finite, point_type
from dspdet3d_ros.clouds.columns import AXES, COLOUR_NAMES, POINT_NAMES, RawPoints, to_rgb8, unpacked
from dspdet3d_ros.clouds.truth import read_truth
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import of_unit_length

#: An array whose name holds one of these is not taken for points, unless all of its name is one of POINT_NAMES.
OTHER_NAMES = (
    *("norm", "face", "tri", "edge", "poly", "pose", "trans", "rot", "quat", "traj", "matri", "intrin", "extrin"),
    *("cam", "depth", "image", "img", "mask", "seg", "label", "inst", "sem", "box", "corner", "size", "dim", "cent"),
    *("feat", "desc", "emb", "uv", "tex", "col", "rgb", "flow", "vel", "acc", "weight", "grad", "prob", "score"),
    *("logit", "key", "tangent", "scale", "offset", "loc", "voxel", "grid", "ind", "imu", "time", "mean", "std"),
)
_COLOURS_IN_NAMES = ("rgb", "color", "colour")
_MATRICES = ((3, 3), (3, 4), (4, 4))
_ORGANISED_COLUMNS = (3, 4, 6)
_MOST_COLUMNS = 16
# A shorter array without a known name is a table.
_FEWEST_ROWS = 16
_LISTED = 12
# Rounding errors of colours, as fractions times 255, and of lengths of directions.
_ROUNDING = 1e-2
_SAVE = "save the points as 'xyz', (N, 3) metres, and their colours as 'rgb', (N, 3)"


def read_npz_cloud(path: Path) -> RawPoints:
    """Reads the points, colours and ground truth of an .npz; see `files.read_cloud`.

    Raises:
        InputError: no array is clearly the points, or arrays do not fit each other; the text does not name the file.
        Exception: any error of numpy for a damaged file.
    """
    headers = check_archive(path)
    key = _points_key(headers)
    with np.load(path, allow_pickle=False) as archive:
        array = archive[key]
        points = _columns(array)
        if key.lower() not in POINT_NAMES and _may_be_something_else(array, points):
            raise _not_clear(headers, 0)
        xyz, rgb = points.xyz, _colours(archive, headers, key, len(points.xyz))
        if "scale" in headers:
            xyz = xyz.astype(point_type(xyz.dtype)) * _scale(archive["scale"])
        return RawPoints(xyz, points.rgb if rgb is None else rgb, read_truth(archive, xyz))


def read_npy_cloud(path: Path) -> RawPoints:
    """Reads the points of an .npy; see `files.read_cloud`.

    Raises:
        InputError: the array cannot be points, or may be of another kind; the text does not name the file.
        Exception: any error of numpy for a damaged file.
    """
    array = read_npy(path)
    header = Header(array.shape, array.dtype)
    if not can_be_points(header):
        raise InputError(
            f"has shape {array.shape} and type {array.dtype}, which cannot be points; save (N, 3) metres or, "
            "with colours, (N, 6)"
        )
    columns = _columns(array)
    if _may_be_something_else(array, columns):
        raise InputError(
            f"has shape {array.shape} and type {array.dtype}, which may be faces, colours, normals, an image or a "
            f"table; in an .npz names show what arrays are: {_SAVE}"
        )
    return columns


def can_be_points(header: Header) -> bool:
    """Whether an array of that shape and type holds points if its name says so.

    These are structured arrays with x, y, z; (N, 3 to 16) numbers, also transposed; and organised clouds (H, W, 3),
    (H, W, 4) or (H, W, 6). A matrix of a camera or a pose is none.
    """
    shape, dtype = header
    if dtype.names:
        names = {name.strip().lower() for name in dtype.names}
        return names >= set(AXES) or bool(names & set(POINT_NAMES))
    if dtype.kind not in "fiu" or dtype.itemsize == 1 or len(shape) < 2 or shape[-2:] in _MATRICES:
        return False
    columns = _column_count(shape)
    if dtype.kind in "iu" and columns in (4, 5):
        # Voxels of a batch, whose first column is the number of the cloud.
        return False
    return columns in _ORGANISED_COLUMNS if len(shape) > 2 else 3 <= columns <= _MOST_COLUMNS


def _points_key(headers: Mapping[str, Header]) -> str:
    """The name of the array of points.

    Raises:
        InputError: lists the arrays if none, or more than one, may be the points.
    """
    keys = _by_lower_case(headers)
    for name in POINT_NAMES:
        if name in keys and can_be_points(headers[keys[name]]):
            return keys[name]
    others = [key for key in headers if not any(part in key.lower() for part in OTHER_NAMES)]
    clear = [key for key in others if _can_only_be_points(headers[key])]
    if len(clear) == 1 and not set(keys) & set(POINT_NAMES):
        return clear[0]
    raise _not_clear(headers, len(clear))


def _not_clear(headers: Mapping[str, Header], clear: int) -> InputError:
    """The error of an .npz with `clear` arrays that may be the points: none, or several."""
    listed = [f"{key} {header.shape} {_type_name(header.dtype)}" for key, header in headers.items()]
    more = [f"and {len(listed) - _LISTED} more"] if len(listed) > _LISTED else []
    which = f"{clear} arrays that may be the points" if clear else "no array that is clearly the points"
    return InputError(f"has {which} (arrays: {', '.join(listed[:_LISTED] + more) or 'none'}); {_SAVE}")


def _can_only_be_points(header: Header) -> bool:
    """Whether an array without a known name is taken for points."""
    shape, dtype = header
    if not can_be_points(header):
        return False
    if dtype.names:
        return True
    return dtype.kind == "f" and shape[-1] in (3, 6) and prod(shape[:-1]) >= _FEWEST_ROWS


def _may_be_something_else(array: np.ndarray, columns: RawPoints) -> bool:
    """Whether an array without a name is rather faces, colours, directions, an image or a table."""
    if array.dtype.names:
        return False
    xyz, rows = columns.xyz[finite(columns.xyz)], _rows(array)
    coloured = columns.rgb is not None and columns.rgb.max(initial=0) > 1
    if rows.shape[1] > 6:
        return not coloured or bool((rows[:, 3:6] % 1).any())
    if coloured or not len(xyz):
        return False
    if (xyz == np.rint(xyz)).all():
        return bool((xyz >= 0).all())
    fractions = bool(((xyz >= 0) & (xyz <= 1)).all())
    return (fractions and (array.ndim > 2 or _are_bytes(xyz))) or _are_directions(rows)


def _are_bytes(fractions: np.ndarray) -> bool:
    """Whether numbers within 0..1 are bytes divided by 255, as colours are."""
    return bool((np.abs(fractions * 255 - np.rint(fractions * 255)) < _ROUNDING).all())


def _are_directions(rows: np.ndarray) -> bool:
    """Whether rows of three or four numbers all have the length 1: normals or quaternions."""
    if rows.shape[1] > 4 or len(rows) < _FEWEST_ROWS:
        return False
    return of_unit_length(rows[np.isfinite(rows).all(1)], _ROUNDING)


def _columns(array: np.ndarray) -> RawPoints:
    """Points, and colours if columns 4 to 6 can be colours."""
    if array.dtype.names:
        return RawPoints.from_table(array)
    rows = _rows(array)
    return RawPoints(rows[:, :3], to_rgb8(rows[:, 3:6]))


def _transposed(shape: tuple[int, ...]) -> bool:
    """Whether the first axis is the columns: clouds of a few points with more than six values each are not expected."""
    return 3 <= shape[0] <= 6 < shape[-1]


def _column_count(shape: tuple[int, ...]) -> int:
    return shape[0] if _transposed(shape) else shape[-1]


def _rows(array: np.ndarray) -> np.ndarray:
    """(N, columns) of an array of any number of axes."""
    array = np.moveaxis(array, 0, -1) if _transposed(array.shape) else array
    return array.reshape(-1, array.shape[-1])


def _colours(archive: Any, headers: Mapping[str, Header], points_key: str, points: int) -> np.ndarray | None:
    """(points, 3) uint8 from the first array that is called colours and has a value for each point; None without.

    Raises:
        InputError: there are such arrays, but none that fits.
    """
    keys = _by_lower_case(headers)
    usual = [keys[name] for name in COLOUR_NAMES if name in keys]
    others = [key for key in headers if key not in usual and any(part in key.lower() for part in _COLOURS_IN_NAMES)]
    for key in (*usual, *others):
        shape, dtype = headers[key]
        if dtype.kind not in "fiu" or key == points_key:
            continue
        if len(shape) > 1 and _column_count(shape) in (3, 4) and prod(shape) == _column_count(shape) * points:
            return to_rgb8(_rows(archive[key]))
        if prod(shape) == points and dtype.itemsize >= 4 and key in usual:
            return unpacked(archive[key].reshape(-1))
    # An image of another size belongs to the camera, not to the points.
    unfit = [key for key in usual if key != points_key and len(headers[key].shape) < 3]
    if unfit:
        shape = headers[unfit[0]].shape
        raise InputError(f"'{unfit[0]}' has shape {shape}, but there are {points} points; save a row for each")
    return None


def _scale(array: np.ndarray) -> float:
    if array.size != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all() or float(array.item()) <= 0:
        raise InputError(f"'scale' is {array}; save one positive number, the metres that one unit of 'xyz' is")
    return float(array.item())


def _by_lower_case(headers: Mapping[str, Header]) -> dict[str, str]:
    return {key.lower(): key for key in reversed(list(headers))}


def _type_name(dtype: np.dtype) -> str:
    return f"fields {' '.join(dtype.names)}" if dtype.names else str(dtype)
