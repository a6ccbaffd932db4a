"""The fields of a sensor_msgs/PointCloud2: their types, and how one is found by its name. Imports no ROS."""

from collections.abc import Iterable
from typing import Any

import numpy as np

UINT8, INT32, UINT32, FLOAT32, FLOAT64 = 2, 5, 6, 7, 8
#: Datatype code of sensor_msgs/PointField -> name and type.
DATATYPES: dict[int, tuple[str, np.dtype]] = {
    1: ("INT8", np.dtype("i1")),
    UINT8: ("UINT8", np.dtype("u1")),
    3: ("INT16", np.dtype("i2")),
    4: ("UINT16", np.dtype("u2")),
    INT32: ("INT32", np.dtype("i4")),
    UINT32: ("UINT32", np.dtype("u4")),
    FLOAT32: ("FLOAT32", np.dtype("f4")),
    FLOAT64: ("FLOAT64", np.dtype("f8")),
}


def named(fields: Iterable[Any], name: str) -> list[Any]:
    """The fields of a lower-case name; where there are none, those whose name differs in capitals only."""
    fields = list(fields)
    return [f for f in fields if f.name == name] or [f for f in fields if f.name.lower() == name]


def type_name(field: Any) -> str:
    """The datatype of a field as a text, for example "3 (INT16)"."""
    return f"{field.datatype} ({DATATYPES[field.datatype][0] if field.datatype in DATATYPES else 'unknown'})"


def end_of(field: Any) -> int:
    """The byte of a point at which the first value of a field ends; the datatype must be a known one."""
    return int(field.offset) + DATATYPES[field.datatype][1].itemsize
