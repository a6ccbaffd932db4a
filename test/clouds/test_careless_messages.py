"""PointCloud2 messages as careless publishers fill them in are read, and a remark says what is wrong."""

from array import array
from dataclasses import replace

import numpy as np
import pytest
from test_pointcloud2 import LAYOUTS, RGB, XYZ, Field, Message, laid_out, message_of

from dspdet3d_ros.clouds.point_fields import UINT8
from dspdet3d_ros.clouds.pointcloud2 import FLOAT32, FLOAT64, UINT32, CloudLayoutError, decode
from dspdet3d_ros.clouds.remarks import Remark

UINT16 = 4


def remarks_of(cloud):
    return [remark.kind for remark in cloud.remarks]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_sound_message_has_no_remark(name):
    assert decode(LAYOUTS[name], with_rgb=True).remarks == ()


ROWS = {
    "one row, 0": (1, 0),
    "one row, too short": (1, 24 * 12 - 1),
    "one row, the number of points": (1, 24),
    "one row, more than there is": (1, 24 * 12 + 1),
    "one row, the largest number": (1, 2**32 - 1),
    "4 rows, 0": (4, 0),
    "4 rows, the whole size": (4, 24 * 12),
    "4 rows, the number of points": (4, 24),
    "4 rows, width": (4, 6),
    "4 rows, of a narrower cloud": (4, 5 * 12),
    "4 rows, of a wider cloud": (4, 7 * 12),
    "a column, the whole size": (24, 24 * 12),
}


@pytest.mark.parametrize("case", ROWS)
@pytest.mark.parametrize("tail", [0, 5])
def test_a_wrong_row_step_with_all_bytes_there_is_read_as_rows_without_gaps(case, tail):
    height, row_step = ROWS[case]
    message = message_of(height=height, width=24 // height, row_step=row_step)
    if row_step != 24 * 12 + 1:
        message.data.frombytes(b"\xff" * tail)
    cloud = decode(message)
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    assert remarks_of(cloud) == ["row_step"]
    assert f"row_step is {row_step}, expected {24 // height * 12}" in cloud.remarks[0].text


def test_data_that_is_long_enough_for_padded_rows_is_read_as_padded_rows():
    padded = laid_out(XYZ, [FLOAT32] * 3, [0, 4, 8], 16, height=4, row_padding=32)
    for end in (len(padded.data), len(padded.data) - 32):
        cloud = decode(replace(padded, data=padded.data[:end]))
        np.testing.assert_array_equal(cloud.xyz, XYZ)
        assert cloud.remarks == ()


def test_padded_rows_with_too_few_bytes_even_for_rows_without_gaps_are_refused():
    padded = laid_out(XYZ, [FLOAT32] * 3, [0, 4, 8], 16, height=4, row_padding=32)
    with pytest.raises(CloudLayoutError, match="data has 383 bytes"):
        decode(replace(padded, data=padded.data[:383]))


def fields(*rows):
    return [Field(*row) for row in rows]


def test_a_count_of_zero_is_one():
    cloud = decode(message_of(fields=fields(*((axis, 4 * i, FLOAT32, 0) for i, axis in enumerate("xyz")))))
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    assert cloud.remarks == ()


def test_of_a_count_of_several_the_first_is_read():
    cloud = decode(message_of(fields=fields(*((axis, 4 * i, FLOAT32, 24) for i, axis in enumerate("xyz")))))
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    assert remarks_of(cloud) == ["count"]
    assert "'x' has count 24, 'y' has count 24" in cloud.remarks[0].text


@pytest.mark.parametrize(
    "other",
    [
        ("intensity", 12, FLOAT32, 1),
        ("intensity", 2**32 - 1, FLOAT64, 2**32 - 1),
        ("ring", 11, UINT16, 1),
        ("", 0, 0, 0),
        ("t", 4, 99, 3),
        ("xyz", 0, FLOAT32, 3),
    ],
    ids=str,
)
def test_a_field_that_is_not_read_may_be_anything(other):
    message = message_of()
    for place in (0, 3):
        cloud = decode(replace(message, fields=[*message.fields[:place], Field(*other), *message.fields[place:]]))
        np.testing.assert_array_equal(cloud.xyz, XYZ)
        assert cloud.remarks == ()


@pytest.mark.parametrize("names", ["XYZ", "xYz", "Xyz"])
def test_capitals_in_names_do_not_matter(names):
    message = message_of(fields=fields(*((name, 4 * i) for i, name in enumerate(names))))
    np.testing.assert_array_equal(decode(message).xyz, XYZ)


def test_of_a_lower_case_and_a_capital_name_the_lower_case_one_is_read():
    message = message_of(XYZ, fields=fields(("X", 8), ("Y", 8), ("x", 0), ("y", 4), ("z", 8), ("Z", 0)))
    np.testing.assert_array_equal(decode(message).xyz, XYZ)
    with pytest.raises(CloudLayoutError, match="2 fields named 'X'"):
        decode(message_of(fields=fields(("X", 0), ("X", 0), ("y", 4), ("z", 8))))


@pytest.mark.parametrize("changes", [{"height": 0}, {"width": 0}, {"width": 0, "height": 0, "fields": []}], ids=str)
def test_data_without_width_or_height_is_taken_as_empty_with_a_remark(changes):
    cloud = decode(message_of(**changes))
    assert cloud.xyz.shape == (0, 3)
    assert remarks_of(cloud) == ["no_points"]
    assert decode(Message()).remarks == ()


def test_coordinates_that_share_bytes_get_a_remark():
    cloud = decode(message_of(fields=fields(("x", 0), ("y", 0), ("z", 8))))
    np.testing.assert_array_equal(cloud.xyz[:, 1], XYZ[:, 0])
    assert remarks_of(cloud) == ["offsets"]
    assert "'x' and 'y' overlap" in cloud.remarks[0].text


def rng(number):
    return np.random.default_rng(number)


WITH_ZEROS = np.concatenate([np.zeros((200, 3)), np.full((50, 3), np.nan), rng(1).uniform(-4, 4, (50, 3))])
CLOUDS = {
    "a room": rng(2).uniform(-5, 5, (300, 3)),
    "on a grid of a millimetre": rng(3).integers(-5000, 5000, (300, 3)) / 1000,
    "on a grid of 1/1024 m": rng(4).integers(-5000, 5000, (300, 3)) / 1024,
    "in millimetres": rng(5).uniform(-5000, 5000, (300, 3)),
    "10,000 km from the origin": rng(6).uniform(1e7, 1e7 + 50, (300, 3)),
    "a flat strip with rounding errors": np.column_stack([rng(7).uniform(0, 9, 300), np.full((300, 2), 1.2e-16)]),
    "with zeros and NaN": WITH_ZEROS,
}


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("kind", [FLOAT32, FLOAT64])
@pytest.mark.parametrize("name", CLOUDS)
def test_a_wrong_is_bigendian_is_found_and_a_right_one_is_believed(name, kind, big_endian):
    size = 4 if kind == FLOAT32 else 8
    xyz = CLOUDS[name].astype(f"f{size}")
    right = laid_out(xyz, [kind] * 3, [0, size, 2 * size], 3 * size, big_endian=big_endian)
    finite = xyz[np.isfinite(xyz).all(1)]
    cloud = decode(right)
    np.testing.assert_array_equal(cloud.xyz, finite)
    assert cloud.remarks == ()
    cloud = decode(replace(right, is_bigendian=not big_endian))
    np.testing.assert_array_equal(cloud.xyz, finite)
    assert remarks_of(cloud) == ["byte_order"]
    said = ("true", "little-endian") if not big_endian else ("false", "big-endian")
    assert all(word in cloud.remarks[0].text for word in ("is_bigendian is", *said))


def test_a_few_numbers_do_not_prove_a_wrong_byte_order():
    one = laid_out(XYZ[:1], [FLOAT32] * 3, [0, 4, 8], 12, big_endian=True)
    assert decode(replace(one, is_bigendian=False)).remarks == ()


def test_colours_are_read_in_the_order_of_the_coordinates():
    message = message_of(XYZ, RGB)
    swapped = np.frombuffer(message.data, "<u4").astype(">u4")
    cloud = decode(replace(message, data=array("B", swapped.tobytes())), with_rgb=True)
    np.testing.assert_array_equal(cloud.rgb, RGB)


def with_columns(columns, big_endian=False) -> Message:
    """A message of x, y, z and other columns: name -> (datatype, numpy type, values)."""
    order = ">" if big_endian else "<"
    rows = np.zeros(24, [("xyz", f"{order}f4", 3), *((name, order + kind) for name, (_, kind, _) in columns.items())])
    rows["xyz"] = XYZ
    found = fields(*((axis, 4 * i) for i, axis in enumerate("xyz")))
    for name, (datatype, _, values) in columns.items():
        rows[name] = values
        found.append(Field(name, rows.dtype.fields[name][1], datatype))
    return Message(found, 1, 24, big_endian, rows.itemsize, rows.nbytes, array("B", rows.tobytes()))


def channels(names, datatype, kind, values):
    return with_columns({name: (datatype, kind, values[:, i]) for i, name in enumerate(names)})


COLOURED = {
    "RGB in capitals": with_columns({"RGB": (UINT32, "u4", RGB.astype(np.uint32) @ [65536, 256, 1])}),
    "rgba, big-endian": with_columns({"rgba": (UINT32, "u4", RGB.astype(np.uint32) @ [65536, 256, 1])}, True),
    "r, g, b": channels("rgb", UINT8, "u1", RGB),
    "B, G, R": channels("BGR", UINT8, "u1", RGB[:, ::-1]),
    "red, green, blue": channels(("red", "green", "blue"), UINT8, "u1", RGB),
    "r, g, b as fractions": channels("rgb", FLOAT32, "f4", RGB / 255),
    "r, g, b as floats up to 255": channels("rgb", FLOAT32, "f4", RGB),
    "r, g, b, a as fractions": channels("rgba", FLOAT32, "f4", np.column_stack([RGB / 255, np.ones(24)])),
    "r, g, b of 16 bits": channels("rgb", UINT16, "u2", RGB.astype(np.uint16) * 257),
}


@pytest.mark.parametrize("name", COLOURED)
def test_colours_are_read_in_every_way_that_drivers_send_them(name):
    cloud = decode(COLOURED[name], with_rgb=True)
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    np.testing.assert_array_equal(cloud.rgb, RGB)
    assert cloud.remarks == ()


def test_a_packed_colour_of_count_zero_is_read():
    message = message_of(XYZ, RGB)
    message.fields[3].count = 0
    np.testing.assert_array_equal(decode(message, with_rgb=True).rgb, RGB)


def test_colours_of_points_that_are_dropped_do_not_matter():
    message = channels("rgb", FLOAT32, "f4", np.where(np.arange(24)[:, None] == 3, np.nan, RGB / 255))
    rows = np.frombuffer(message.data, "<f4").reshape(24, -1).copy()
    rows[3, :3] = np.nan
    cloud = decode(replace(message, data=array("B", rows.tobytes())), with_rgb=True)
    np.testing.assert_array_equal(cloud.rgb, np.delete(RGB, 3, axis=0))


def packed(datatype=FLOAT32, offset=12, count=1):
    message = message_of(XYZ, RGB)
    message.fields[3] = Field("rgb", offset, datatype, count)
    return message


UNREADABLE = {
    "3 bytes in one field": packed(UINT8, count=3),
    "8 bytes in one field": packed(FLOAT64),
    "unknown type": packed(99),
    "several in one field": packed(count=2),
    "beyond the point": packed(offset=13),
    "far beyond the point": packed(offset=2**32 - 1),
    "channels of several types": with_columns({"r": (UINT8, "u1", 1), "g": (FLOAT32, "f4", 1), "b": (UINT8, "u1", 1)}),
    "channels with NaN": channels("rgb", FLOAT32, "f4", np.full((24, 3), np.nan)),
    "channels beyond 255": channels("rgb", FLOAT32, "f4", RGB * 1000.0),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_colours_that_cannot_be_read_get_a_remark_and_the_points_are_read(name):
    cloud = decode(UNREADABLE[name], with_rgb=True)
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    assert cloud.rgb is None
    assert remarks_of(cloud) == ["colours"]
    assert decode(UNREADABLE[name]).remarks == (), "nobody asked for colours"


def test_where_one_kind_of_colours_cannot_be_read_the_other_is():
    message = channels("rgb", UINT8, "u1", RGB)
    message.fields.append(Field("rgb", 12, UINT8, 3))
    cloud = decode(message, with_rgb=True)
    np.testing.assert_array_equal(cloud.rgb, RGB)
    assert cloud.remarks == ()


def test_a_remark_is_one_line_whatever_the_names_hold():
    message = message_of(XYZ, RGB)
    message.fields[3] = Field("RGB", 2**32 - 1)
    assert decode(message, with_rgb=True).remarks[0].text.isprintable()
    assert Remark("count", "a\nb\x00c").text == "a\\nb\\x00c"
