"""PointCloud2 messages of any layout, compared with a reader that goes byte by byte."""

import struct
from array import array
from types import SimpleNamespace

import numpy as np
from hypothesis import strategies as st
from outcome import Tally, judge

from dspdet3d_ros.clouds.pointcloud2 import decode

FORMATS = {7: ("f", 4), 8: ("d", 8)}
LARGEST_FLOAT32 = (2 - 2**-23) * 2**127
SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 8: 8}


NAMES = ("x", "y", "z", "X", "Y", "rgb", "rgba", "RGB", "intensity", "")


def named(message, name):
    """The fields of that name; where there are none, those that differ in capitals only."""
    exact = [f for f in message.fields if f.name == name]
    return exact or [f for f in message.fields if f.name.lower() == name]


def sound(message):
    """Whether x, y and z of every point are in the data, whatever row_step and other fields say."""
    if message.width * message.height == 0:
        return True
    for axis in "xyz":
        found = named(message, axis)
        if len(found) != 1 or found[0].datatype not in FORMATS:
            return False
        if found[0].offset + SIZES[found[0].datatype] > message.point_step:
            return False
    return message.width * message.height * message.point_step <= len(message.data)


def row_step(message):
    """The message's own where the data is long enough for it, else that of rows without gaps."""
    tight = message.width * message.point_step
    # Padding behind the last of several rows may be missing.
    needed = message.row_step if message.height == 1 else (message.height - 1) * message.row_step + tight
    rows_fit = needed <= len(message.data)
    return message.row_step if tight <= message.row_step and rows_fit else tight


def packed_field(message):
    """The field that holds colours, or None."""
    for name in ("rgb", "rgba"):
        for field in named(message, name)[:1]:
            if field.datatype in (5, 6, 7) and field.count < 2 and field.offset + 4 <= message.point_step:
                return field
    return None


def slowly(message, big_endian):
    """(K, 3) float32 or float64 and (K, 3) uint8 or None of the finite points, read one value at a time."""
    order, points, colours = (">" if big_endian else "<"), [], []
    fields, packed = {axis: named(message, axis)[0] for axis in "xyz"}, packed_field(message)
    for row in range(message.height):
        for column in range(message.width):
            start = row * row_step(message) + column * message.point_step
            point = [
                struct.unpack_from(order + FORMATS[field.datatype][0], message.data, start + field.offset)[0]
                for field in fields.values()
            ]
            if all(abs(value) <= LARGEST_FLOAT32 for value in point):
                points.append(point)
                if packed:
                    (bits,) = struct.unpack_from(order + "I", message.data, start + packed.offset)
                    colours.append([bits >> 16 & 255, bits >> 8 & 255, bits & 255])
    rgb = np.array(colours, np.uint8).reshape(-1, 3) if packed else None
    return np.array(points, kind(message)).reshape(-1, 3), rgb


def kind(message):
    """float64 where one of x, y and z is, else float32."""
    return np.float64 if 8 in [named(message, axis)[0].datatype for axis in "xyz"] else np.float32


@st.composite
def valid(draw):
    """Valid messages with random bytes for data, so with numbers of every kind."""
    axes = draw(st.sampled_from([("x", "y", "z"), ("X", "Y", "z")]))
    names = draw(st.permutations([*axes, draw(st.sampled_from(["rgb", "rgba", "RGB", "intensity"]))]))
    fields, end = [], 0
    for name in names:
        datatype = 7 if name.lower().startswith("rgb") else draw(st.sampled_from([7, 8]))
        offset = end + draw(st.integers(0, 5))
        fields.append(
            SimpleNamespace(name=name, offset=offset, datatype=datatype, count=draw(st.sampled_from([1, 1, 0])))
        )
        end = offset + FORMATS[datatype][1]
    width, height = draw(st.integers(0, 5)), draw(st.integers(0, 4))
    point_step = end + draw(st.integers(0, 7))
    row_step = width * point_step + draw(st.integers(0, 9))
    size = height * row_step + draw(st.integers(0, 3))
    return SimpleNamespace(
        fields=fields,
        width=width,
        height=height,
        point_step=point_step,
        row_step=row_step,
        is_bigendian=draw(st.booleans()),
        is_dense=draw(st.booleans()),
        data=array("B", draw(st.binary(min_size=size, max_size=size))),
    )


NUMBERS = st.one_of(st.integers(0, 64), st.integers(0, 2**32 - 1), st.just(2**32 - 1))
FIELDS = st.builds(
    SimpleNamespace,
    name=st.sampled_from(NAMES),
    offset=NUMBERS,
    datatype=st.one_of(st.just(7), st.integers(0, 255)),
    count=st.one_of(st.just(1), NUMBERS),
)


@st.composite
def nearly_valid(draw):
    """Valid messages with one or two fields changed."""
    message = draw(valid())
    for _ in range(draw(st.integers(1, 2))):
        what = draw(st.sampled_from(["width", "height", "point_step", "row_step", "field", "fields", "data"]))
        if what == "field":
            field = draw(st.sampled_from(message.fields))
            name = draw(st.sampled_from(["offset", "datatype", "count", "name"]))
            value = st.sampled_from(NAMES) if name == "name" else NUMBERS
            setattr(field, name, draw(value))
        elif what == "fields":
            message.fields = message.fields + [draw(FIELDS)]
        elif what == "data":
            del message.data[draw(st.integers(0, len(message.data))) :]
        else:
            setattr(message, what, draw(NUMBERS))
    return message


ANY = st.builds(
    SimpleNamespace,
    fields=st.lists(FIELDS, max_size=6),
    width=NUMBERS,
    height=NUMBERS,
    point_step=NUMBERS,
    row_step=NUMBERS,
    is_bigendian=st.booleans(),
    is_dense=st.just(True),
    data=st.binary(max_size=200).map(lambda data: array("B", data)),
)
MESSAGES = st.one_of(valid(), nearly_valid(), ANY)


def run(tally: Tally, message) -> None:
    """One message: decoded as `slowly` does exactly where it is sound; never changed."""
    before = bytes(message.data)
    cloud = judge(tally, lambda: decode(message, with_rgb=True))
    assert bytes(message.data) == before
    assert (cloud is not None) == sound(message)
    if cloud is None:
        return
    assert cloud.points_in == message.width * message.height
    assert all(remark.text.isprintable() for remark in cloud.remarks)
    if cloud.points_in == 0:
        assert cloud.xyz.shape == (0, 3)
        return
    remarks = {remark.kind for remark in cloud.remarks}
    assert ("row_step" in remarks) == (message.row_step != row_step(message))
    # When the bytes are taken in the other order is left to test/clouds.
    xyz, rgb = slowly(message, bool(message.is_bigendian) != ("byte_order" in remarks))
    np.testing.assert_array_equal(cloud.xyz, xyz)
    assert cloud.xyz.dtype == xyz.dtype
    assert (cloud.rgb is None) == (rgb is None)
    assert "colours" not in remarks or rgb is None
    if rgb is not None:
        np.testing.assert_array_equal(cloud.rgb, rgb)
