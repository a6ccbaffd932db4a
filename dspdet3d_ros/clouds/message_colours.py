"""The colours of a sensor_msgs/PointCloud2, in the ways that drivers send them. Imports no ROS."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.columns import COLOUR_COLUMNS, PACKED_COLOURS, to_rgb8, unpack_words
from dspdet3d_ros.clouds.point_fields import DATATYPES, FLOAT32, INT32, UINT32, end_of, named, type_name
from dspdet3d_ros.clouds.remarks import Remark

REMEDY = "publish one packed 'rgb' (UINT32 or FLOAT32) or r, g and b as UINT8 or FLOAT32"

#: Gives the (N,) values of a field by its byte offset and its type, which has no byte order of its own.
Column = Callable[[int, np.dtype], np.ndarray]


def read_colours(message: Any, column: Column) -> tuple[np.ndarray | None, Remark | None]:
    """The colours of a message; colours that cannot be read cause a remark, not an error.

    Taken are, in this order: one field `rgb` or `rgba` of four bytes, 0xAARRGGBB in the byte order of the message;
    three fields r, g, b or red, green, blue of one type (see `to_rgb8`). Names may be in capitals.

    Args:
        message: anything with the attributes of sensor_msgs/msg/PointCloud2, its layout checked.
        column: reads the values of the points that are kept.

    Returns:
        (N, 3) uint8 or None, and a remark if there are colours that cannot be read.
    """
    fault = None
    for name in PACKED_COLOURS:
        for field in named(message.fields, name)[:1]:
            if field.datatype in (INT32, UINT32, FLOAT32) and _is_single(message, field):
                return unpack_words(column(int(field.offset), np.dtype("u4"))), None
            fault = fault or f"field '{field.name}' has {_description(field)}"
    for names in COLOUR_COLUMNS:
        found = [fields[0] for fields in (named(message.fields, name) for name in names) if fields]
        if len(found) < 3:
            continue
        described = [_description(field) for field in found]
        fault = fault or f"fields {', '.join(names)} have {'; '.join(dict.fromkeys(described))}"
        if len({field.datatype for field in found}) > 1 or not all(_is_single(message, field) for field in found):
            continue
        dtype = DATATYPES[found[0].datatype][1]
        rgb = to_rgb8(np.stack([column(int(field.offset), dtype) for field in found], axis=1))
        if rgb is not None:
            return rgb, None
        fault = f"fields {', '.join(names)} hold values that are no colours, such as NaN only or numbers below 0"
    if fault is None:
        return None, None
    return None, Remark("colours", f"{fault}: the points are read without colours; {REMEDY}")


def _is_single(message: Any, field: Any) -> bool:
    """Whether a field is one number of a known type inside its point; a count of 0 means 1, as in PCL."""
    if field.datatype not in DATATYPES or int(field.count) > 1:
        return False
    return end_of(field) <= int(message.point_step)


def _description(field: Any) -> str:
    return f"datatype {type_name(field)}, count {field.count} and offset {field.offset}"
