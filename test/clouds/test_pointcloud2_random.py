"""Random layouts are decoded as a reader that goes byte by byte decodes them; random numbers never do any harm."""

import struct
from array import array
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="hypothesis is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from dspdet3d_ros.clouds.pointcloud2 import CloudLayoutError, decode

FORMATS = {7: ("f", 4), 8: ("d", 8)}


def slowly(message):
    """(K, 3) of the finite points, read one value at a time."""
    order, kept = (">" if message.is_bigendian else "<"), []
    fields = {field.name: field for field in message.fields}
    for row in range(message.height):
        for column in range(message.width):
            start = row * message.row_step + column * message.point_step
            point = [
                struct.unpack_from(order + FORMATS[fields[a].datatype][0], message.data, start + fields[a].offset)[0]
                for a in "xyz"
            ]
            with np.errstate(over="ignore", invalid="ignore"):
                point = np.array(point).astype(np.float32)
            if np.isfinite(point).all():
                kept.append(point)
    return np.array(kept, np.float32).reshape(-1, 3)


@st.composite
def layouts(draw):
    """Valid messages with random bytes for data, so with numbers of every kind."""
    names = draw(st.permutations(["x", "y", "z", "intensity"]))
    fields, end = [], 0
    for name in names:
        datatype = draw(st.sampled_from([7, 8]))
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


@settings(max_examples=150, deadline=None, database=None)
@given(layouts())
def test_random_layouts_are_decoded_as_slowly_byte_by_byte(message):
    before = bytes(message.data)
    cloud = decode(message)
    np.testing.assert_array_equal(cloud.xyz, slowly(message))
    assert cloud.points_in == message.width * message.height
    assert bytes(message.data) == before


NUMBERS = st.one_of(st.integers(0, 64), st.integers(0, 2**32 - 1), st.just(2**32 - 1))
FIELDS = st.builds(
    SimpleNamespace,
    name=st.sampled_from(["x", "y", "z", "rgb", ""]),
    offset=NUMBERS,
    datatype=st.one_of(st.just(7), st.integers(0, 255)),
    count=st.one_of(st.just(1), NUMBERS),
)


@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(FIELDS, max_size=6), NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.booleans(), st.binary(max_size=200))
def test_random_messages_are_decoded_or_refused(fields, width, height, point_step, row_step, big_endian, data):
    message = SimpleNamespace(
        fields=fields,
        width=width,
        height=height,
        point_step=point_step,
        row_step=row_step,
        is_bigendian=big_endian,
        is_dense=True,
        data=array("B", data),
    )
    try:
        cloud = decode(message, with_rgb=True)
    except CloudLayoutError:
        return
    assert np.isfinite(cloud.xyz).all()
    assert len(cloud.xyz) <= cloud.points_in == width * height
