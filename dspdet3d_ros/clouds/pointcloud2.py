"""sensor_msgs/PointCloud2 to arrays and back, without importing ROS.

The layout rules are those of sensor_msgs/msg/PointCloud2 and PointField: point (row, column) starts at byte
`row * row_step + column * point_step` of `data`, and each field lies `offset` bytes behind the start of its point.
Drivers often fill in the description carelessly, and other readers ignore parts of it. A message is refused only
if bytes or coordinates are missing; a fault that leaves one way to read the points is a remark.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.byte_order import looks_swapped
from dspdet3d_ros.clouds.cloud import PointCloud, point_type, usable
from dspdet3d_ros.clouds.message_colours import read_colours
from dspdet3d_ros.clouds.point_fields import (
    DATATYPES,
    FLOAT32,
    FLOAT64,
    UINT32,
    count_remark,
    end_of,
    named,
    overlap_remark,
    type_name,
)
from dspdet3d_ros.clouds.remarks import Remark
from dspdet3d_ros.errors import InputError

AXES = ("x", "y", "z")
# Number of points from which the byte order is judged.
SAMPLE = 256
#: The remedy for each kind of fault of a message.
REMEDIES = {
    "fields": "publish x, y and z in metres, as one FLOAT32 each",
    "sizes": "correct the message where it is filled, in the publisher",
    "stamp": "let the publisher stamp with the clock that this node follows",
    "order": "let one publisher send the clouds, in the order of their stamps",
}


class CloudLayoutError(InputError):
    """A PointCloud2 that cannot be read.

    Attributes:
        kind: "fields" (x, y or z cannot be read), "sizes" (bytes are missing), "stamp", "order" (of stamps) or a kind
            of a subclass, whose texts
            contain the remedy.
    """

    def __init__(self, kind: str, text: str):
        super().__init__(f"{text}; {REMEDIES[kind]}" if kind in REMEDIES else text)
        self.kind = kind


@dataclass(frozen=True)
class CloudLayout:
    """The layout of the values of a checked message.

    Attributes:
        height, width: number of rows, and of points in each; both 0 for a cloud of no points.
        point_step, row_step: bytes from one point to the next, and from one row to the next.
        big_endian: byte order of all values.
        offsets: byte offset of x, y, z in a point.
        dtypes: types of x, y, z, without a byte order.
        remarks: faults of the description.
    """

    height: int = 0
    width: int = 0
    point_step: int = 0
    row_step: int = 0
    big_endian: bool = False
    offsets: tuple[int, ...] = ()
    dtypes: tuple[np.dtype, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @property
    def points(self) -> int:
        """Number of points."""
        return self.width * self.height

    def view(self, data: np.ndarray, offset: int, dtype: np.dtype) -> np.ndarray:
        """The values of one field in (M,) uint8 bytes of a message: (height, width), no copy."""
        ordered = dtype.newbyteorder(">" if self.big_endian else "<")
        return np.ndarray((self.height, self.width), ordered, data, offset, (self.row_step, self.point_step))


@dataclass(frozen=True)
class PackedCloud:
    """The values to fill a PointCloud2 with: little-endian, dense, height 1.

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
    """The layout of the points of a message; it checks sizes only, which takes microseconds for any cloud.

    A cloud of no points is valid with any fields: drivers send it with and without them. Fields other than x,
    y and z may be anything. A row_step that does not fit the data is replaced: rows then follow without gaps.

    Args:
        message: anything with the attributes of sensor_msgs/msg/PointCloud2.

    Raises:
        CloudLayoutError: x, y or z is missing, of another type or outside its point, or bytes are missing.
    """
    width, height = int(message.width), int(message.height)
    if width == 0 or height == 0:
        return CloudLayout(remarks=_no_points_remarks(message))
    fields = [_coordinate_field(message.fields, axis) for axis in AXES]
    _check_point(message, fields)
    row_step, row_remark = _row_step(message, width, height)
    remarks = (row_remark, count_remark(fields), overlap_remark(fields))
    return CloudLayout(
        height,
        width,
        int(message.point_step),
        row_step,
        bool(message.is_bigendian),
        offsets=tuple(int(field.offset) for field in fields),
        dtypes=tuple(DATATYPES[field.datatype][1] for field in fields),
        remarks=tuple(remark for remark in remarks if remark),
    )


def decode(message: Any, with_rgb: bool = False, layout: CloudLayout | None = None) -> PointCloud:
    """Reads the finite points of a PointCloud2; the message is not changed and the result shares no memory with it.

    Points with a coordinate that is NaN, infinite or beyond float32 are dropped, whatever `is_dense` claims. If the
    coordinates make sense in the other byte order only, they are read in that order.

    Args:
        message: anything with the attributes of sensor_msgs/msg/PointCloud2.
        with_rgb: also read colours (see `read_colours`).
        layout: the result of `check` for this message; it is checked here if not given.

    Returns:
        The cloud in the message's frame and unit (metres by REP 103), with remarks on the message.

    Raises:
        CloudLayoutError: see `check`.
    """
    layout = layout or check(message)
    if layout.points == 0:
        rgb = read_colours(message, lambda _, dtype: np.empty(0, dtype))[0] if with_rgb else None
        return PointCloud(np.empty((0, 3), np.float32), rgb, remarks=layout.remarks)
    data = np.frombuffer(message.data, np.uint8)
    layout = _in_plausible_order(layout, data)
    xyz = np.empty((layout.points, 3), point_type(*layout.dtypes))
    columns = xyz.reshape(layout.height, layout.width, 3)
    # A signalling NaN is dropped below as the others are.
    with np.errstate(invalid="ignore"):
        for axis, (offset, dtype) in enumerate(zip(layout.offsets, layout.dtypes, strict=True)):
            columns[..., axis] = layout.view(data, offset, dtype)
    finite = usable(xyz)
    kept: np.ndarray | slice = slice(None)
    if not finite.all():
        xyz, kept = xyz[finite], finite
    dropped = layout.points - len(xyz)
    if not with_rgb:
        return PointCloud(xyz, dropped=dropped, remarks=layout.remarks)
    rgb, remark = read_colours(message, lambda offset, dtype: layout.view(data, offset, dtype).reshape(-1)[kept])
    return PointCloud(xyz, rgb, None, dropped, layout.remarks if remark is None else (*layout.remarks, remark))


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
    """The one field of that name, which must be float32 or float64."""
    found = named(fields, name)
    if not found:
        present = ", ".join(field.name for field in fields) or "none"
        raise CloudLayoutError("fields", f"the cloud has no field '{name}' (its fields: {present})")
    if len(found) > 1:
        raise CloudLayoutError("fields", f"the cloud has {len(found)} fields named '{found[0].name}', expected one")
    field = found[0]
    if field.datatype not in (FLOAT32, FLOAT64):
        whole = ": whole numbers do not say their unit" if field.datatype in DATATYPES else ""
        raise CloudLayoutError(
            "fields",
            f"field '{field.name}' has datatype {type_name(field)}, expected FLOAT32 (7) or FLOAT64 (8){whole}",
        )
    return field


def _check_point(message: Any, fields: list[Any]) -> None:
    """Refuses coordinates that do not lie within their point."""
    point_step = int(message.point_step)
    if point_step == 0:
        raise CloudLayoutError("sizes", f"point_step is 0 in a cloud of {message.width * message.height} points")
    for field in fields:
        if end_of(field) > point_step:
            raise CloudLayoutError(
                "sizes", f"field '{field.name}' ends at byte {end_of(field)} of a point, but point_step is {point_step}"
            )


def _row_step(message: Any, width: int, height: int) -> tuple[int, Remark | None]:
    """Bytes from one row to the next; in Python integers, which cannot overflow.

    The message's own row_step is taken if the data is long enough for it. The padding of the last row may be missing.
    """
    point_step, row_step = int(message.point_step), int(message.row_step)
    tight, available = width * point_step, memoryview(message.data).nbytes
    if row_step >= tight and available >= (height - 1) * row_step + tight and (height > 1 or available >= row_step):
        return row_step, None
    if available < height * tight:
        raise CloudLayoutError(
            "sizes",
            f"data has {available} bytes, but width {width} times height {height} times point_step {point_step} "
            f"needs {height * tight}",
        )
    return tight, Remark(
        "row_step",
        f"row_step is {row_step}, expected {tight} for {width} points of {point_step} bytes (height {height}, "
        f"{available} bytes of data): the rows are read without gaps; set row_step to {tight} in the publisher",
    )


def _no_points_remarks(message: Any) -> tuple[Remark, ...]:
    """A height of 0 is the default of a message, which publishers forget to change."""
    size = memoryview(message.data).nbytes
    if size == 0:
        return ()
    return (
        Remark(
            "no_points",
            f"width is {message.width} and height is {message.height}, so there are no points, but data has {size} "
            "bytes: the cloud is taken as empty; set width and height in the publisher (height 1 for a list of points)",
        ),
    )


def _in_plausible_order(layout: CloudLayout, data: np.ndarray) -> CloudLayout:
    """The layout in the other byte order, with a remark, if only that gives coordinates of a cloud."""
    rows, columns = np.divmod(
        np.linspace(0, layout.points - 1, min(layout.points, SAMPLE)).astype(np.int64), layout.width
    )
    views = (layout.view(data, offset, dtype) for offset, dtype in zip(layout.offsets, layout.dtypes, strict=True))
    if not looks_swapped([view[rows, columns] for view in views]):
        return layout
    claimed, order = ("true", "little-endian") if layout.big_endian else ("false", "big-endian")
    remark = Remark(
        "byte_order",
        f"is_bigendian is {claimed}, but the coordinates have plausible magnitudes as {order} numbers only: they are "
        f"read as {order}; set is_bigendian to {'false' if layout.big_endian else 'true'} in the publisher",
    )
    return replace(layout, big_endian=not layout.big_endian, remarks=(*layout.remarks, remark))
