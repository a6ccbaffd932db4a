"""PointCloud2 messages as bytes and back, for a fuzzer that knows nothing but bytes."""

import struct
from array import array
from types import SimpleNamespace

from clouds import MESSAGES, NAMES
from hypothesis import HealthCheck, Phase, given, seed, settings

HEAD = struct.Struct("<?4IB")
FIELD = struct.Struct("<BIBI")
MOST_FIELDS = 8


def pack(message: SimpleNamespace) -> bytes:
    """A message as bytes."""
    head = HEAD.pack(
        message.is_bigendian, message.width, message.height, message.point_step, message.row_step, len(message.fields)
    )
    fields = (FIELD.pack(NAMES.index(f.name), f.offset, f.datatype, f.count) for f in message.fields)
    return head + b"".join(fields) + bytes(message.data)


def unpack(data: bytes) -> SimpleNamespace:
    """The message of any bytes; what is missing of its description is zero."""
    data = data.ljust(HEAD.size, b"\0")
    is_bigendian, width, height, point_step, row_step, count = HEAD.unpack_from(data)
    end = HEAD.size + count % (MOST_FIELDS + 1) * FIELD.size
    data = data.ljust(end, b"\0")
    fields = [
        SimpleNamespace(name=NAMES[name % len(NAMES)], offset=offset, datatype=datatype, count=count)
        for name, offset, datatype, count in FIELD.iter_unpack(data[HEAD.size : end])
    ]
    return SimpleNamespace(
        fields=fields,
        width=width,
        height=height,
        point_step=point_step,
        row_step=row_step,
        is_bigendian=is_bigendian,
        is_dense=True,
        data=array("B", data[end:]),
    )


def examples(count: int) -> list[bytes]:
    """So many messages of the usual kinds; the same each time."""
    found = []

    @seed(0)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(MESSAGES)
    def collect(message: SimpleNamespace) -> None:
        found.append(pack(message))

    collect()
    return found
