"""Points as file readers return them, and the names and types of points and colours in files."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.clouds.cloud import LabelledBoxes
from dspdet3d_ros.errors import InputError

AXES = ("x", "y", "z")
COLOUR_COLUMNS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
PACKED_COLOURS = ("rgb", "rgba")
#: Names of arrays of points, and of colours, in the common libraries: in lower case, the most certain first.
POINT_NAMES = (
    *("xyz", "points", "point_cloud", "pointcloud", "cloud", "pcd", "pc", "pts", "xyzrgb", "pc_full"),
    *("points3d", "points_3d", "pts3d", "pts_3d", "world_points", "point_map", "pointmap", "xyz_map"),
    *("coord", "coords", "coordinates", "vertices", "verts", "vertex", "point", "pos", "positions", "position"),
)
COLOUR_NAMES = (
    *("rgb", "color", "colors", "colour", "colours", "rgbs", "rgba", "pc_colors", "pc_color", "pc_rgb"),
    *("point_colors", "point_color", "points_colors", "points_color", "points_rgb", "point_rgb", "xyz_color"),
    *("vertex_colors", "vertex_color", "vert_colors", "pcd_colors", "pcd_color", "cloud_colors", "cloud_rgb"),
)
# Tolerances for colours below black, and above white as a fraction of it, from rounding and interpolation.
_MARGIN = 0.01


@dataclass(frozen=True)
class RawPoints:
    """Points as a file has them.

    Attributes:
        xyz: (N, 3) numbers, metres; may hold values that are not finite.
        rgb: (N, 3) uint8 or None.
        truth: ground-truth boxes or None.
    """

    xyz: np.ndarray
    rgb: np.ndarray | None = None
    truth: LabelledBoxes | None = None

    @classmethod
    def from_fields(cls, fields: Iterable[tuple[str, np.ndarray]]) -> "RawPoints":
        """Takes named fields with one or several values a point; case does not matter, and other names are left out.

        Points are the fields x, y, z, or one field of three values with a name of POINT_NAMES. Colours are three
        fields of a triple in COLOUR_COLUMNS, or one field with a name of COLOUR_NAMES, of three values or packed.

        Raises:
            InputError: x, y or z is missing or no number.
        """
        named: dict[str, np.ndarray] = {}
        for name, values in fields:
            # Of fields with the same name the first counts.
            named.setdefault(name.strip().lower(), values)
        return cls(_positions(named), _colours(named))

    @classmethod
    def from_table(cls, table: np.ndarray) -> "RawPoints":
        """As `from_fields`, from a structured array of any shape."""
        table = table.reshape(-1)
        return cls.from_fields((name, table[name]) for name in table.dtype.names or ())


def wanted(names: Iterable[str]) -> list[int]:
    """The numbers of those fields of a text that hold coordinates or colours; the others may hold anything."""
    needed = {*AXES, *PACKED_COLOURS, *(name for triple in COLOUR_COLUMNS for name in triple)}
    return [number for number, name in enumerate(names) if name.strip().lower() in needed]


def as_declared(name: str, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Numbers of a text in the type that its header declares, or as they are if that type cannot hold them.

    Args:
        name: of the field.
        values: (N, ...) float64.
        dtype: of the header; programs write integers as fractions or NaN, and packed colours in several ways.
    """
    if name.strip().lower() in PACKED_COLOURS and values.ndim == 1:
        return values
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    if dtype.kind in "iu" and values.size:
        limits = np.iinfo(dtype)
        if (values == np.rint(values)).all() and limits.min <= values.min() and values.max() <= limits.max:
            with np.errstate(invalid="ignore"):
                return values.astype(dtype)
    return values


def _positions(named: dict[str, np.ndarray]) -> np.ndarray:
    whole = next((named[name] for name in POINT_NAMES if name in named and named[name].shape[1:] == (3,)), None)
    if whole is not None and whole.dtype.kind in "fiu" and not set(AXES) <= set(named):
        return whole
    for axis in AXES:
        if axis not in named:
            raise InputError(f"has no field '{axis}' (fields: {', '.join(named) or 'none'}); write x, y and z")
        values = named[axis]
        if values.dtype.kind not in "fiu" or values.shape[1:] not in ((), (1,)):
            raise InputError(f"field '{axis}' has type {values.dtype}; write one number a point")
    return np.column_stack([named[axis] for axis in AXES])


def _colours(named: dict[str, np.ndarray]) -> np.ndarray | None:
    for triple in COLOUR_COLUMNS:
        if all(name in named and named[name].shape[1:] in ((), (1,)) for name in triple):
            return to_rgb8(np.column_stack([named[name] for name in triple]))
    for name in COLOUR_NAMES:
        values = named.get(name)
        if values is None or values.dtype.kind not in "fiu":
            continue
        if values.shape[1:] in ((3,), (4,)):
            return to_rgb8(values)
        if name in PACKED_COLOURS or values.dtype.kind in "iu":
            return unpacked(values)
    return None


def unpacked(values: np.ndarray) -> np.ndarray | None:
    """(N, 3) uint8 from one value a point: 0xAARRGGBB as an integer, as a float of that value, or as its bits.

    Args:
        values: (N,) or (N, 1) numbers; NaN, a missing colour, is black unless its bits are a colour.

    Returns:
        None if the values cannot be packed colours.
    """
    if values.shape[1:] not in ((), (1,)) or values.dtype.kind not in "fiu" or values.dtype.itemsize < 4:
        return None
    values = np.ascontiguousarray(values.reshape(-1), values.dtype.newbyteorder("="))
    if values.dtype.kind == "f":
        known = values[np.isfinite(values)]
        integers = (known == np.rint(known)).all() and (np.abs(known) < 2**32).all() and known.any()
        if integers:
            values = np.where(np.isfinite(values), values, 0).astype(np.int64)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                values = values.astype(np.float32).view(np.uint32)
    return unpack_words(values)


def unpack_words(words: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 from (N,) integers 0xAARRGGBB."""
    rgb = np.empty((len(words), 3), np.uint8)
    for channel, shift in enumerate((16, 8, 0)):
        rgb[:, channel] = (words >> shift) & 0xFF
    return rgb


def to_rgb8(values: np.ndarray) -> np.ndarray | None:
    """(N, 3) colours as uint8; None if the values cannot be colours.

    Floats that all lie within 0..1 are fractions, other numbers are 0..255, or 0..65535 if whole numbers exceed 255.
    Floats may lie a little outside because of rounding. NaN, a missing colour, is black.

    Args:
        values: (N, 3 or more) numbers; the first three columns count.
    """
    if values.ndim != 2 or values.shape[1] < 3 or values.dtype.kind not in "fiu":
        return None
    values = values[:, :3]
    if values.dtype.itemsize == 1:
        # A signed byte is an unsigned one whose type was named wrongly.
        return np.ascontiguousarray(values).view(np.uint8)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        values = np.where(np.isfinite(values), values, np.nan)
        if np.isnan(values).all() and values.size:
            return None
        values = np.nan_to_num(values)
    top = _full_scale(values)
    if top is None:
        return None
    if top == 65535:
        return (values.astype(np.int64) >> 8).astype(np.uint8)
    return np.rint(np.clip(values * (255 / top), 0, 255)).astype(np.uint8)


def _full_scale(values: np.ndarray) -> int | None:
    """The value of white: 1, 255 or 65535; None if the values cannot be colours."""
    if values.size == 0:
        return 255
    low, high = values.min(), values.max()
    fractions = values.dtype.kind == "f"
    for top in (1, 255) if fractions else (255,):
        margin = _MARGIN if fractions else 0
        if low >= -margin and high <= top * (1 + margin):
            return top
    whole = not fractions or (values == np.rint(values)).all()
    return 65535 if whole and low >= 0 and high <= 65535 else None


def are_clearly_colours(values: np.ndarray) -> bool:
    """Whether floats are fractions, or whole numbers: distances and positions are neither."""
    values = values[np.isfinite(values)]
    return bool(values.max(initial=0) <= 1 or (values == np.rint(values)).all())
