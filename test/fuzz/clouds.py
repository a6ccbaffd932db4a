"""PointCloud2 messages of any layout, beside a reader that goes byte by byte."""

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


def sound(message):
    """Whether the description of a message fits its data, after sensor_msgs/msg/PointCloud2 alone."""
    if message.width * message.height == 0:
        return True
    for axis in "xyz":
        found = [f for f in message.fields if f.name == axis]
        if len(found) != 1 or found[0].datatype not in FORMATS or found[0].count != 1:
            return False
    fits = all(f.offset + f.count * SIZES.get(f.datatype, 0) <= message.point_step for f in message.fields)
    return (
        fits
        and 0 < message.width * message.point_step <= message.row_step
        and message.height * message.row_step <= len(message.data)
    )


def slowly(message):
    """(K, 3) float32 or float64 and (K, 3) uint8 or None of the finite points, read one value at a time."""
    order, points, colours = (">" if message.is_bigendian else "<"), [], []
    fields = {field.name: field for field in reversed(message.fields)}
    packed = next((f for f in message.fields if f.name in ("rgb", "rgba")), None)
    for row in range(message.height):
        for column in range(message.width):
            start = row * message.row_step + column * message.point_step
            point = [
                struct.unpack_from(order + FORMATS[fields[a].datatype][0], message.data, start + fields[a].offset)[0]
                for a in "xyz"
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
    return np.float64 if 8 in [f.datatype for f in message.fields if f.name in ("x", "y", "z")] else np.float32


@st.composite
def valid(draw):
    """Valid messages with random bytes for data, so with numbers of every kind."""
    names = draw(st.permutations(["x", "y", "z", draw(st.sampled_from(["rgb", "rgba", "intensity"]))]))
    fields, end = [], 0
    for name in names:
        datatype = 7 if name.startswith("rgb") else draw(st.sampled_from([7, 8]))
        offset = end + draw(st.integers(0, 5))
        fields.append(SimpleNamespace(name=name, offset=offset, datatype=datatype, count=1))
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
    name=st.sampled_from(["x", "y", "z", "rgb", ""]),
    offset=NUMBERS,
    datatype=st.one_of(st.just(7), st.integers(0, 255)),
    count=st.one_of(st.just(1), NUMBERS),
)


@st.composite
def nearly_valid(draw):
    """Valid messages with one or two things changed."""
    message = draw(valid())
    for _ in range(draw(st.integers(1, 2))):
        what = draw(st.sampled_from(["width", "height", "point_step", "row_step", "field", "fields", "data"]))
        if what == "field":
            field = draw(st.sampled_from(message.fields))
            name = draw(st.sampled_from(["offset", "datatype", "count", "name"]))
            value = st.sampled_from(["x", "y", "z", "rgb", ""]) if name == "name" else NUMBERS
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
    cloud = judge(tally, lambda: decode(message))
    assert bytes(message.data) == before
    assert (cloud is not None) == sound(message)
    if cloud is None:
        return
    assert cloud.points_in == message.width * message.height
    expected = np.empty((0, 3), np.float32) if cloud.points_in == 0 else slowly_without_colours(message)
    np.testing.assert_array_equal(cloud.xyz, expected)
    assert cloud.xyz.dtype == expected.dtype
    packed = next((f for f in message.fields if f.name in ("rgb", "rgba")), None)
    if cloud.points_in and packed and packed.datatype in (5, 6, 7) and packed.count == 1:
        np.testing.assert_array_equal(decode(message, with_rgb=True).rgb, slowly(message)[1])


def slowly_without_colours(message):
    """The points of `slowly` of a message whose colours may be anything."""
    bare = SimpleNamespace(**vars(message))
    bare.fields = [field for field in message.fields if field.name in "xyz" and field.name]
    return slowly(bare)[0]
