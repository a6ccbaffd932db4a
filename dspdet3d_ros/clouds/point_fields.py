"""The fields of a sensor_msgs/PointCloud2: types, look-up by name, remarks on faulty ones. Imports no ROS."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.remarks import Remark

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
    """The fields of a lower-case name; if there are none, those whose name differs in capitals only."""
    fields = list(fields)
    return [f for f in fields if f.name == name] or [f for f in fields if f.name.lower() == name]


def type_name(field: Any) -> str:
    """The datatype of a field as a text, for example "3 (INT16)"."""
    return f"{field.datatype} ({DATATYPES[field.datatype][0] if field.datatype in DATATYPES else 'unknown'})"


def end_of(field: Any) -> int:
    """The byte of a point at which the first value of a field ends; the datatype must be a known one."""
    return int(field.offset) + DATATYPES[field.datatype][1].itemsize


def count_remark(fields: Sequence[Any]) -> Remark | None:
    """A count of 0 means 1, as in PCL; of several values the first one is read, as RViz does."""
    several = [f"'{field.name}' has count {field.count}" for field in fields if int(field.count) > 1]
    if not several:
        return None
    return Remark(
        "count",
        f"field {', '.join(several)}: only the first value of each point is read; set count to 1 in the publisher",
    )


def overlap_remark(fields: Sequence[Any]) -> Remark | None:
    """Remarks on fields that share bytes of their point."""
    for first, second in pairwise(sorted(fields, key=lambda field: int(field.offset))):
        if end_of(first) > int(second.offset):
            return Remark(
                "offsets",
                f"fields '{first.name}' and '{second.name}' overlap (offsets {first.offset} and {second.offset}): "
                "they are read as they are; correct the offsets in the publisher",
            )
    return None
