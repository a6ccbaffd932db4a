"""sensor_msgs/PointCloud2 to arrays and back, without importing ROS.

The layout rules are those of sensor_msgs/msg/PointCloud2 and PointField: point (row, column) starts at byte
`row * row_step + column * point_step` of `data`, and each field lies `offset` bytes behind the start of its point.
"""

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.cloud import point_type, usable
from dspdet3d_ros.errors import InputError

INT32, UINT32, FLOAT32, FLOAT64 = 5, 6, 7, 8
# datatype code of PointField -> (name, bytes)
DATATYPES = {
    1: ("INT8", 1),
    2: ("UINT8", 1),
    3: ("INT16", 2),
    4: ("UINT16", 2),
    INT32: ("INT32", 4),
    UINT32: ("UINT32", 4),
    FLOAT32: ("FLOAT32", 4),
    FLOAT64: ("FLOAT64", 8),
}
AXES = ("x", "y", "z")
COLOUR_FIELDS = ("rgb", "rgba")
#: What to do about each kind of fault of a message.
REMEDIES = {
    "fields": "publish x, y, z as one FLOAT32 each, and colours as one packed FLOAT32 'rgb'",
    "sizes": "correct the message where it is filled, in the publisher",
    "stamp": "let the publisher stamp with the clock that this node follows",
    "order": "let one publisher send the clouds, in the order of their stamps",
}


class CloudLayoutError(InputError):
    """A PointCloud2 whose description cannot be right.

    Attributes:
        kind: "fields" (x, y, z or colours cannot be read), "sizes" (the byte counts contradict each other), "stamp",
            "order" (of stamps) or another of a subclass, whose texts say themselves what to do.
    """

    def __init__(self, kind: str, text: str):
        super().__init__(f"{text}; {REMEDIES[kind]}" if kind in REMEDIES else text)
        self.kind = kind


@dataclass(frozen=True)
class CloudLayout:
    """Where the coordinates of a checked message lie.

    Attributes:
        points: width * height.
        offsets: byte offset of x, y, z in a point; empty for a cloud of no points.
        dtypes: numpy types of x, y, z with the message's byte order; empty for a cloud of no points.
    """

    points: int
    offsets: tuple[int, ...] = ()
    dtypes: tuple[np.dtype, ...] = ()


@dataclass(frozen=True)
class DecodedCloud:
    """The finite points of a message.

    Attributes:
        xyz: (K, 3) float32, or float64 where the message has float64; contiguous, finite, in the message's frame and
            unit (metres by REP 103).
        points_in: number of points in the message, finite or not.
        rgb: (K, 3) uint8, or None where not asked for or not in the message.
    """

    xyz: np.ndarray
    points_in: int
    rgb: np.ndarray | None = None


@dataclass(frozen=True)
class PackedCloud:
    """The values a PointCloud2 is filled with: little-endian, dense, height 1.

    Attributes:
        fields: name, offset, datatype and count of each PointField.
        point_step: bytes a point takes.
        width: number of points.
        data: the bytes; an array('B') is what rclpy takes without checking each byte.
    """

    fields: tuple[tuple[str, int, int, int], ...]
    point_step: int
    width: int
    data: array


def check(message: Any) -> CloudLayout:
    """Says where a message keeps x, y and z; looks at sizes only, so that it costs microseconds for any cloud.

    A cloud of no points is valid whatever its fields say: drivers send it with and without them.

    Args:
        message: anything with the attributes of sensor_msgs/msg/PointCloud2.

    Raises:
        CloudLayoutError: the message names the field or size at fault.
    """
    width, height = int(message.width), int(message.height)
    if width == 0 or height == 0:
        return CloudLayout(points=0)
    order = ">" if message.is_bigendian else "<"
    fields = [_coordinate_field(message.fields, axis) for axis in AXES]
    _check_sizes(message, width, height)
    return CloudLayout(
        points=width * height,
        offsets=tuple(int(field.offset) for field in fields),
        dtypes=tuple(np.dtype(f"{order}f{DATATYPES[field.datatype][1]}") for field in fields),
    )


def decode(message: Any, with_rgb: bool = False) -> DecodedCloud:
    """Reads the finite points of a PointCloud2; the message is not changed and the result shares no memory with it.

    Points with a coordinate that is NaN, infinite or beyond float32 are dropped, whatever `is_dense` claims.

    Args:
        message: anything with the attributes of sensor_msgs/msg/PointCloud2.
        with_rgb: also unpack the `rgb` or `rgba` field where there is one.

    Raises:
        CloudLayoutError: see `check`.
    """
    layout = check(message)
    if layout.points == 0:
        colours = np.empty((0, 3), np.uint8) if with_rgb and _colour_field(message) else None
        return DecodedCloud(np.empty((0, 3), np.float32), points_in=0, rgb=colours)
    data = np.frombuffer(message.data, np.uint8)
    xyz = np.empty((layout.points, 3), point_type(*layout.dtypes))
    columns = xyz.reshape(int(message.height), int(message.width), 3)
    # A signalling NaN is dropped below as the others are.
    with np.errstate(invalid="ignore"):
        for axis, (offset, dtype) in enumerate(zip(layout.offsets, layout.dtypes, strict=True)):
            columns[..., axis] = _strided(message, data, offset, dtype)
    rgb = _decode_rgb(message, data) if with_rgb else None
    finite = usable(xyz)
    if not finite.all():
        xyz = xyz[finite]
        rgb = None if rgb is None else rgb[finite]
    return DecodedCloud(xyz, layout.points, rgb)


def has_colours(message: Any) -> bool:
    """Whether `decode` can read colours: there is an `rgb` or `rgba` field, of four bytes a point."""
    field = _colour_field(message)
    return field is not None and field.datatype in (INT32, UINT32, FLOAT32) and int(field.count) == 1


def encode(
    xyz: np.ndarray, rgb: np.ndarray | None = None, numbers: Mapping[str, np.ndarray] | None = None
) -> PackedCloud:
    """Packs points as most ROS tools expect them: float32 x, y, z and, with colours, `rgb` as 0x00RRGGBB in a float32.

    Args:
        xyz: (N, 3), metres.
        rgb: (N, 3) uint8 or None.
        numbers: name -> (N,) whole numbers from 0 on, each a field of its own (UINT32).
    """
    xyz = np.asarray(xyz)
    words = {} if rgb is None else {"rgb": np.asarray(rgb, np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)}
    words.update(numbers or {})
    points = np.empty(len(xyz), [("xyz", "<f4", 3), *((name, "<u4") for name in words)])
    points["xyz"] = xyz
    for name, values in words.items():
        points[name] = values
    fields = [(axis, 4 * i, FLOAT32, 1) for i, axis in enumerate(AXES)]
    fields += [(name, 12 + 4 * i, FLOAT32 if name == "rgb" else UINT32, 1) for i, name in enumerate(words)]
    data = array("B")
    data.frombytes(points.view(np.uint8).data)
    return PackedCloud(tuple(fields), points.dtype.itemsize, len(points), data)


def _coordinate_field(fields: Any, name: str) -> Any:
    """The one field of that name, which must be a single float32 or float64."""
    found = [field for field in fields if field.name == name]
    if not found:
        present = ", ".join(field.name for field in fields) or "none"
        raise CloudLayoutError("fields", f"the cloud has no field '{name}' (its fields: {present})")
    if len(found) > 1:
        raise CloudLayoutError("fields", f"the cloud has {len(found)} fields named '{name}', expected one")
    field = found[0]
    if int(field.count) != 1:
        raise CloudLayoutError("fields", f"field '{name}' has count {field.count}, expected 1")
    if field.datatype not in (FLOAT32, FLOAT64):
        known = DATATYPES.get(field.datatype, ("unknown", 0))[0]
        raise CloudLayoutError(
            "fields", f"field '{name}' has datatype {field.datatype} ({known}), expected FLOAT32 (7) or FLOAT64 (8)"
        )
    return field


def _check_sizes(message: Any, width: int, height: int) -> None:
    """Refuses sizes that contradict each other; in Python integers, which cannot overflow."""
    point_step, row_step = int(message.point_step), int(message.row_step)
    if point_step == 0:
        raise CloudLayoutError("sizes", f"point_step is 0 in a cloud of {width * height} points")
    for field in message.fields:
        # Types later versions of ROS may add are none of our business as long as x, y and z are known ones.
        end = int(field.offset) + int(field.count) * DATATYPES.get(field.datatype, ("", 0))[1]
        if end > point_step:
            raise CloudLayoutError(
                "sizes", f"field '{field.name}' ends at byte {end} of a point, but point_step is {point_step}"
            )
    if row_step < width * point_step:
        raise CloudLayoutError(
            "sizes", f"row_step is {row_step}, but {width} points of {point_step} bytes need {width * point_step}"
        )
    available = memoryview(message.data).nbytes
    if available < height * row_step:
        raise CloudLayoutError(
            "sizes",
            f"data has {available} bytes, but height {height} times row_step {row_step} needs {height * row_step}",
        )


def _strided(message: Any, data: np.ndarray, offset: int, dtype: np.dtype) -> np.ndarray:
    """A (height, width) view of one field of a checked message."""
    shape = (int(message.height), int(message.width))
    return np.ndarray(shape, dtype, data, offset, strides=(int(message.row_step), int(message.point_step)))


def _colour_field(message: Any) -> Any | None:
    return next((field for field in message.fields if field.name in COLOUR_FIELDS), None)


def _decode_rgb(message: Any, data: np.ndarray) -> np.ndarray | None:
    """(N, 3) uint8 from the packed colour field: 0xAARRGGBB in four bytes of the message's byte order."""
    field = _colour_field(message)
    if field is None:
        return None
    if not has_colours(message):
        raise CloudLayoutError(
            "fields",
            f"field '{field.name}' has datatype {field.datatype} and count {field.count}, "
            "expected one packed FLOAT32 (7) or UINT32 (6)",
        )
    order = ">" if message.is_bigendian else "<"
    packed = _strided(message, data, int(field.offset), np.dtype(f"{order}u4"))
    rgb = np.empty((math.prod(packed.shape), 3), np.uint8)
    for channel, shift in enumerate((16, 8, 0)):
        rgb[:, channel] = ((packed >> shift) & 0xFF).ravel()
    return rgb
