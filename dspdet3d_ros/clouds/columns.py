"""What file readers hand over, and the many ways in which files keep colours."""

from dataclasses import dataclass

import numpy as np

from dspdet3d_ros.clouds.cloud import LabelledBoxes
from dspdet3d_ros.errors import InputError

COLOUR_COLUMNS = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))


@dataclass(frozen=True)
class Columns:
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
    def from_table(cls, table: np.ndarray) -> "Columns":
        """Takes a structured array with the fields x, y, z and, where it has them, red, green, blue or packed `rgb`.

        Raises:
            InputError: x, y or z is missing or no number.
        """
        names = table.dtype.names or ()
        for axis in "xyz":
            if axis not in names:
                raise InputError(f"has no field '{axis}' (fields: {', '.join(names) or 'none'}); write x, y and z")
            if table.dtype[axis].kind not in "fiu" or table.dtype[axis].shape:
                raise InputError(f"field '{axis}' has type {table.dtype[axis]}; write one number a point")
        xyz = np.column_stack([table[axis] for axis in "xyz"])
        return cls(xyz, colours(table))


def colours(table: np.ndarray) -> np.ndarray | None:
    """(N, 3) uint8 from a structured array's separate or packed (0x00RRGGBB in 4 bytes) colour fields; None without."""
    names = table.dtype.names or ()
    for triple in COLOUR_COLUMNS:
        if all(name in names for name in triple):
            return to_rgb8(np.column_stack([table[name] for name in triple]))
    packed = next((name for name in ("rgb", "rgba") if name in names), None)
    if packed is None or table.dtype[packed].itemsize != 4 or table.dtype[packed].shape:
        return None
    order = ">" if table.dtype[packed].byteorder == ">" else "<"
    bits = np.ascontiguousarray(table[packed]).view(f"{order}u4")
    return np.stack([(bits >> shift) & 0xFF for shift in (16, 8, 0)], axis=1).astype(np.uint8)


def to_rgb8(values: np.ndarray) -> np.ndarray | None:
    """(N, 3) colours as uint8; None where the values cannot be colours.

    Floats that all lie within 0..1 are fractions, other floats and integers are 0..255, uint16 is 0..65535.
    """
    if values.ndim != 2 or values.shape[1] < 3 or values.dtype.kind not in "fiu":
        return None
    values = values[:, :3]
    if values.dtype == np.uint8 or values.size == 0:
        return np.ascontiguousarray(values, np.uint8)
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255):
        return None
    if values.dtype.kind == "f" and high <= 1:
        values = values * 255
    return np.rint(values).astype(np.uint8)
