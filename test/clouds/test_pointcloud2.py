"""Every layout of a PointCloud2 that holds the points gives the same points; what is missing is refused by name."""

from array import array
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from dspdet3d_ros.clouds.pointcloud2 import FLOAT32, FLOAT64, UINT32, CloudLayoutError, decode, encode
from dspdet3d_ros.errors import InputError

XYZ = np.random.default_rng(7).normal(size=(24, 3)).astype(np.float32)
RGB = np.random.default_rng(8).integers(0, 256, (24, 3), dtype=np.uint8)


@dataclass
class Field:
    name: str
    offset: int
    datatype: int = FLOAT32
    count: int = 1


@dataclass
class Message:
    """The attributes of sensor_msgs/msg/PointCloud2 that describe the layout."""

    fields: list[Field] = field(default_factory=list)
    height: int = 1
    width: int = 0
    is_bigendian: bool = False
    point_step: int = 0
    row_step: int = 0
    data: array = field(default_factory=lambda: array("B"))
    is_dense: bool = True


def message_of(xyz=XYZ, rgb=None, **changes) -> Message:
    packed = encode(xyz, rgb)
    fields = [Field(*entry) for entry in packed.fields]
    message = Message(fields, 1, packed.width, False, packed.point_step, packed.width * packed.point_step, packed.data)
    return replace(message, **changes)


def laid_out(xyz, types, offsets, point_step, height=1, row_padding=0, big_endian=False) -> Message:
    """A message whose gaps are filled with 0xFF bytes, which read as NaN if they are ever taken for coordinates."""
    order, width = (">" if big_endian else "<"), len(xyz) // height
    row_step = width * point_step + row_padding
    data = np.full(height * row_step, 0xFF, np.uint8)
    sizes = {"x": 4 if types[0] == FLOAT32 else 8, "y": 4 if types[1] == FLOAT32 else 8}
    sizes["z"] = 4 if types[2] == FLOAT32 else 8
    for axis, name in enumerate("xyz"):
        view = np.ndarray((height, width), f"{order}f{sizes[name]}", data, offsets[axis], (row_step, point_step))
        view[:] = xyz[:, axis].reshape(height, width)
    fields = [Field(name, offsets[axis], types[axis]) for axis, name in enumerate("xyz")]
    return Message(fields, height, width, big_endian, point_step, row_step, array("B", data.tobytes()))


LAYOUTS = {
    "dense": laid_out(XYZ, [FLOAT32] * 3, [0, 4, 8], 12),
    "padded points": laid_out(XYZ, [FLOAT32] * 3, [0, 4, 8], 32),
    "x, y, z last and not adjacent": laid_out(XYZ, [FLOAT32] * 3, [20, 28, 4], 40),
    "unaligned": laid_out(XYZ, [FLOAT32] * 3, [1, 7, 14], 19),
    "float64": laid_out(XYZ, [FLOAT64] * 3, [0, 8, 16], 24),
    "mixed types": laid_out(XYZ, [FLOAT32, FLOAT64, FLOAT32], [0, 4, 12], 16),
    "organised": laid_out(XYZ, [FLOAT32] * 3, [0, 4, 8], 16, height=4),
    "organised with padded rows": laid_out(XYZ, [FLOAT32] * 3, [0, 4, 8], 16, height=4, row_padding=13),
    "padded single row": laid_out(XYZ, [FLOAT32] * 3, [0, 4, 8], 12, row_padding=5),
    "big-endian": laid_out(XYZ, [FLOAT32] * 3, [0, 4, 8], 12, big_endian=True),
    "big-endian float64": laid_out(XYZ, [FLOAT64] * 3, [8, 16, 0], 24, 2, 3, big_endian=True),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_points_and_leaves_the_message_alone(name):
    message = LAYOUTS[name]
    before = bytes(message.data)
    cloud = decode(message)
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    assert cloud.xyz.dtype == (np.float64 if FLOAT64 in [f.datatype for f in message.fields] else np.float32)
    assert cloud.xyz.flags["C_CONTIGUOUS"]
    assert cloud.xyz.flags["OWNDATA"]
    assert cloud.points_in == 24
    assert bytes(message.data) == before
    np.testing.assert_array_equal(decode(message).xyz, XYZ)


def test_fields_of_other_names_types_and_order_do_not_matter():
    message = laid_out(XYZ, [FLOAT32] * 3, [8, 12, 16], 40)
    extra = [Field("intensity", 0), Field("_", 4, 99, 0), Field("_", 20, 2, 3), Field("ring", 24, 4)]
    message.fields = [extra[0], message.fields[2], extra[1], message.fields[0], *extra[2:], message.fields[1]]
    np.testing.assert_array_equal(decode(message).xyz, XYZ)


def test_data_longer_than_needed_is_accepted():
    message = message_of()
    message.data.frombytes(b"\xff" * 100)
    np.testing.assert_array_equal(decode(message).xyz, XYZ)


@pytest.mark.parametrize("container", [bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)])
def test_data_may_be_any_buffer(container):
    message = message_of()
    np.testing.assert_array_equal(decode(replace(message, data=container(bytes(message.data)))).xyz, XYZ)


def test_non_finite_points_are_dropped_though_is_dense_is_true():
    xyz = XYZ.copy()
    xyz[3, 0], xyz[5, 1], xyz[23, 2], xyz[7] = np.nan, np.inf, -np.inf, np.nan
    cloud = decode(message_of(xyz, RGB, is_dense=True), with_rgb=True)
    kept = np.delete(np.arange(24), [3, 5, 7, 23])
    np.testing.assert_array_equal(cloud.xyz, XYZ[kept])
    np.testing.assert_array_equal(cloud.rgb, RGB[kept])
    assert cloud.points_in == 24


def test_float64_keeps_all_its_digits():
    far = XYZ.astype(np.float64) / 3 + 12_345_678.9
    np.testing.assert_array_equal(decode(laid_out(far, [FLOAT64] * 3, [0, 8, 16], 24)).xyz, far)


def test_float64_beyond_float32_is_dropped():
    xyz = XYZ.astype(np.float64)
    xyz[2, 1] = 1e300
    cloud = decode(laid_out(xyz, [FLOAT64] * 3, [0, 8, 16], 24))
    np.testing.assert_array_equal(cloud.xyz, np.delete(XYZ, 2, axis=0))


def test_a_cloud_of_nothing_but_nan_has_no_points():
    cloud = decode(message_of(np.full((5, 3), np.nan, np.float32)))
    assert cloud.xyz.shape == (0, 3)
    assert cloud.points_in == 5


@pytest.mark.parametrize(
    "message",
    [Message(height=0), Message(), message_of(np.empty((0, 3))), message_of(width=0), message_of(height=0, row_step=0)],
    ids=["default message", "one empty row", "with fields", "width 0 with data", "height 0"],
)
def test_a_cloud_of_no_points_is_valid(message):
    cloud = decode(message, with_rgb=True)
    assert cloud.xyz.shape == (0, 3)
    assert cloud.xyz.dtype == np.float32
    assert cloud.points_in == 0


@pytest.mark.parametrize("datatype", [FLOAT32, UINT32])
@pytest.mark.parametrize("name", ["rgb", "rgba"])
def test_packed_colours_are_unpacked(name, datatype):
    message = message_of(XYZ, RGB)
    message.fields[3] = Field(name, 12, datatype)
    np.testing.assert_array_equal(decode(message, with_rgb=True).rgb, RGB)
    assert decode(message).rgb is None
    assert decode(message_of(), with_rgb=True).rgb is None


def test_big_endian_colours_are_unpacked():
    message = laid_out(XYZ, [FLOAT32] * 3, [0, 4, 8], 16, big_endian=True)
    message.fields.append(Field("rgb", 12, FLOAT32))
    data = np.frombuffer(message.data, np.uint8).reshape(-1, 16).copy()
    data[:, 12:16] = np.column_stack([np.zeros(24, np.uint8), RGB])
    np.testing.assert_array_equal(decode(replace(message, data=data.ravel()), with_rgb=True).rgb, RGB)


def without(name):
    return [entry for entry in message_of().fields if entry.name != name]


BROKEN = {
    "no x": ({"fields": without("x")}, "fields", "'x'"),
    "no y": ({"fields": without("y")}, "fields", "'y'"),
    "no z": ({"fields": without("z")}, "fields", "'z'"),
    "no fields": ({"fields": []}, "fields", "'x'"),
    "two y": ({"fields": [*message_of().fields, Field("y", 0)]}, "fields", "2 fields named 'y'"),
    "INT16": ({"fields": [*without("y"), Field("y", 4, 3)]}, "fields", "'y' has datatype 3 (INT16)"),
    "unknown type": ({"fields": [*without("z"), Field("z", 8, 99)]}, "fields", "'z' has datatype 99 (unknown)"),
    "point_step 0": ({"point_step": 0}, "sizes", "point_step is 0"),
    "point_step short": ({"point_step": 11}, "sizes", "'z' ends at byte 12"),
    "offset far out": ({"fields": [*without("z"), Field("z", 2**32 - 1)]}, "sizes", "'z' ends at"),
    "data short": ({"data": array("B", bytes(24 * 12 - 1))}, "sizes", "data has 287 bytes"),
    "no data": ({"data": array("B")}, "sizes", "data has 0 bytes"),
    "height too large": ({"height": 2}, "sizes", "width 24 times height 2 times point_step 12 needs 576"),
    "row_step and data short": ({"row_step": 276, "data": array("B", bytes(276))}, "sizes", "data has 276 bytes"),
    "width 2^32-1": ({"width": 2**32 - 1}, "sizes", "width 4294967295"),
    "all sizes 2^32-1": (
        {"width": 2**32 - 1, "height": 2**32 - 1, "point_step": 2**32 - 1, "row_step": 2**32 - 1},
        "sizes",
        "width 4294967295",
    ),
    "height 2^32-1": ({"height": 2**32 - 1}, "sizes", "height 4294967295"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_layout_is_refused_by_name(name):
    changes, kind, text = BROKEN[name]
    with pytest.raises(CloudLayoutError) as error:
        decode(message_of(**changes))
    assert text in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.kind == kind
    assert isinstance(error.value, InputError)


def test_whole_numbers_for_coordinates_are_refused_with_what_to_publish():
    message = message_of(fields=[Field(axis, 2 * i, 3) for i, axis in enumerate("xyz")])
    with pytest.raises(
        CloudLayoutError, match=r"'x' has datatype 3 \(INT16\).* whole numbers .* publish x, y and z in metres"
    ):
        decode(message)


def test_what_is_encoded_is_decoded_again():
    message = message_of(XYZ, RGB)
    cloud = decode(message, with_rgb=True)
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    np.testing.assert_array_equal(cloud.rgb, RGB)
    assert isinstance(message.data, array)
    assert message.data.typecode == "B"
    assert len(message.data) == 24 * 16
    assert len(message_of().data) == 24 * 12
    assert encode(np.empty((0, 3)), np.empty((0, 3))).width == 0
