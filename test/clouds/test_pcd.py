"""PCD files give the same points in all encodings and with the headers that PCL and Open3D read."""

import base64
import struct

import numpy as np
import pytest

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.errors import InputError

XYZ = np.random.default_rng(5).normal(size=(20, 3)).astype(np.float32)
RGB = np.random.default_rng(6).integers(0, 256, (20, 3), dtype=np.uint8)
PACKED = RGB.astype(np.uint32) @ np.uint32([1 << 16, 1 << 8, 1])

HEADER = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS {fields}
SIZE {sizes}
TYPE {types}
COUNT {counts}
WIDTH {width}
HEIGHT {height}
VIEWPOINT 0 0 0 1 0 0 0
POINTS {points}
DATA {data}
"""
DEFAULTS = {
    "fields": "x y z rgb",
    "sizes": "4 4 4 4",
    "types": "F F F F",
    "counts": "1 1 1 1",
    "width": 20,
    "height": 1,
    "points": 20,
    "data": "binary",
}
TABLE = np.empty(20, [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])
for _i, _axis in enumerate("xyz"):
    TABLE[_axis] = XYZ[:, _i]
TABLE["rgb"] = PACKED

# 64 points of x = 0.5 * (i // 8), y = 1, z = 0.25 * i - 3, field after field, compressed by liblzf.
LIBLZF = base64.b85decode(
    "0RRBt7ytl2AR*uq0|0;^8{iWI0Kgz0;1dG@06^ds0{|c(AK()M06-ug;1dG?U?3mh69eEAyWra!1VF$505Bi}03aX(01zMp001BZ0pPzN"
    "1|S0fpdbSPfFJ_^Kp+DE03ZVafW9CHAOHb?J|F}k*8o5u13@DIpdbf9;{f0w2SLvO5Fv9xvj8w42SJ+vP#_0Eg8*<K2LON|0|1C10|1a9"
    "0|1yH0|1~P0|2NX0|2lf0|2-n0|3Av0|3Y%0|3w<0|3|{0|4M40|4kC0|4+K0|59S0|Wp;000Ca0{{ph0{{#l0{{>p0{|2t0{|Ex0{|Q#"
    "0{|c(0{|o-0{|!>0{|=_0{}1}0{}E20{}Q60{}cA0{}oE0{}!I0{}=M0|87y"
)


def write(path, body: bytes, **header):
    path.write_bytes(HEADER.format(**DEFAULTS | header).encode() + body)
    return path


def as_text(values) -> bytes:
    return "\n".join(" ".join(f"{value:.12g}" for value in row) for row in values).encode()


def literal_lzf(raw: bytes) -> bytes:
    """LZF without any copies: pieces of up to 32 bytes behind their length - 1."""
    pieces = [raw[i : i + 32] for i in range(0, len(raw), 32)]
    return b"".join(bytes([len(piece) - 1]) + piece for piece in pieces)


def compressed_body(columns: bytes, compressed: bytes) -> bytes:
    return struct.pack("<II", len(compressed), len(columns)) + compressed


def assert_the_cloud(cloud):
    np.testing.assert_allclose(cloud.xyz, XYZ, rtol=1e-6)
    np.testing.assert_array_equal(cloud.rgb, RGB)


def test_binary(tmp_path):
    assert_the_cloud(read_cloud(write(tmp_path / "a.pcd", TABLE.tobytes())))


def test_binary_compressed(tmp_path):
    columns = b"".join(TABLE[name].tobytes() for name in TABLE.dtype.names)
    body = compressed_body(columns, literal_lzf(columns))
    assert_the_cloud(read_cloud(write(tmp_path / "a.pcd", body, data="binary_compressed")))


def test_what_liblzf_compressed_is_unpacked(tmp_path):
    i = np.arange(64)
    body = compressed_body(bytes(768), LIBLZF)
    header = {"fields": "x y z", "sizes": "4 4 4", "types": "F F F", "counts": "1 1 1", "width": 64, "points": 64}
    cloud = read_cloud(write(tmp_path / "a.pcd", body, data="binary_compressed", **header))
    np.testing.assert_array_equal(cloud.xyz, np.column_stack([i // 8 * 0.5, np.ones(64), i * 0.25 - 3]))
    assert cloud.rgb is None


@pytest.mark.parametrize("printed", ["bits of a float", "integer as float", "integer"])
def test_ascii(tmp_path, printed):
    colours = PACKED.view(np.float32) if printed == "bits of a float" else PACKED
    rows = [(*point.tolist(), colour) for point, colour in zip(XYZ, colours.tolist(), strict=True)]
    types = "F F F U" if printed == "integer" else "F F F F"
    assert_the_cloud(read_cloud(write(tmp_path / "a.pcd", as_text(rows), data="ascii", types=types)))


def test_ascii_with_nan_and_fields_of_several_values(tmp_path):
    body = b"0 9 9 1 2 3\n0 9 9 nan nan nan\n0 9 9 4 5 6\n"
    header = {"fields": "ring fpfh z y x", "sizes": "2 4 8 8 8", "types": "U F F F F", "counts": "1 2 1 1 1"}
    cloud = read_cloud(write(tmp_path / "a.pcd", body, data="ascii", width=3, points=3, **header))
    np.testing.assert_array_equal(cloud.xyz, [[3, 2, 1], [6, 5, 4]])


def test_padding_fields_may_share_a_name(tmp_path):
    table = np.zeros(20, [("a", "3u1"), ("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("b", "u1"), ("rgb", "<u4")])
    for name in TABLE.dtype.names:
        table[name] = TABLE[name]
    header = {"fields": "_ x y z _ rgb", "sizes": "1 4 4 4 1 4", "types": "U F F F U U", "counts": "3 1 1 1 1 1"}
    assert_the_cloud(read_cloud(write(tmp_path / "a.pcd", table.tobytes(), **header)))


HEADERS = {
    "byte-order mark": lambda head: b"\xef\xbb\xbf" + head,
    "CRLF": lambda head: head.replace(b"\n", b"\r\n"),
    "CR": lambda head: head.replace(b"\n", b"\r"),
    "white space": lambda head: head.replace(b"\n", b" \t\n").replace(b"FIELDS ", b"FIELDS\t ")[:-3] + b"\n",
    "blank lines": lambda head: head.replace(b"FIELDS", b"\n\nFIELDS"),
    "small letters": lambda head: head.lower(),
    "capitals": lambda head: head.replace(b"x y z", b"X Y Z"),
    "unknown line": lambda head: head.replace(b"WIDTH", b"METADATA label\nWIDTH"),
    "comment in latin-1": lambda head: b"# B\xfcro\n" + head,
    "COLUMNS": lambda head: head.replace(b"FIELDS", b"COLUMNS"),
    "no VERSION": lambda head: head.replace(b"VERSION 0.7\n", b""),
    "no COUNT": lambda head: without(head, b"COUNT"),
    "no HEIGHT": lambda head: without(head, b"HEIGHT"),
    "no WIDTH": lambda head: without(head, b"WIDTH"),
    "no WIDTH and HEIGHT": lambda head: without(head, b"WIDTH", b"HEIGHT"),
    "no POINTS": lambda head: without(head, b"POINTS"),
    "no number of points": lambda head: without(head, b"POINTS", b"WIDTH", b"HEIGHT"),
    "WIDTH and HEIGHT 0": lambda head: head.replace(b"WIDTH 20", b"WIDTH 0").replace(b"HEIGHT 1", b"HEIGHT 0"),
    "another WIDTH": lambda head: head.replace(b"WIDTH 20", b"WIDTH 30"),
    "POINTS beyond WIDTH times HEIGHT": lambda head: head.replace(b"POINTS 20", b"POINTS 30"),
    "organised": lambda head: head.replace(b"WIDTH 20", b"WIDTH 5").replace(b"HEIGHT 1", b"HEIGHT 4"),
    "letter case of types": lambda head: head.replace(b"F F F", b"f f f"),
}
COLUMNS = b"".join(TABLE[name].tobytes() for name in TABLE.dtype.names)
ROWS = [(*point.tolist(), int(colour)) for point, colour in zip(XYZ, PACKED, strict=True)]


def without(head, *keys):
    """A header without some of its lines."""
    return b"".join(line for line in head.splitlines(True) if not line.startswith(keys))


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
def test_headers_of_all_kinds_of_programs(tmp_path, name, encoding):
    bodies = {
        "ascii": as_text(ROWS),
        "binary": TABLE.tobytes(),
        "binary_compressed": compressed_body(COLUMNS, literal_lzf(COLUMNS)),
    }
    head = HEADER.format(**DEFAULTS | {"data": encoding, "types": "F F F U"}).encode()
    (tmp_path / "a.pcd").write_bytes(HEADERS[name](head) + bodies[encoding])
    assert_the_cloud(read_cloud(tmp_path / "a.pcd"))


def test_the_oldest_version_has_neither_sizes_nor_types(tmp_path):
    colours = PACKED.view(np.float32).tolist()
    rows = [(*point.tolist(), colour) for point, colour in zip(XYZ, colours, strict=True)]
    (tmp_path / "a.pcd").write_bytes(
        b"# .PCD v.5\nVERSION .5\nCOLUMNS x y z rgb\nPOINTS 20\nDATA ascii\n" + as_text(rows)
    )
    assert_the_cloud(read_cloud(tmp_path / "a.pcd"))


def test_surplus_rows_bytes_and_comments_are_left_out(tmp_path):
    body = b"# made by hand\n" + as_text([*ROWS, (1, 2, 3, 4)]) + b"\n"
    assert_the_cloud(read_cloud(write(tmp_path / "a.pcd", body, data="ascii", types="F F F U")))
    assert_the_cloud(read_cloud(write(tmp_path / "a.pcd", TABLE.tobytes() + b"rest")))


@pytest.mark.parametrize("nan", ["nan", "-nan(ind)", "1.#QNAN", "-1.#IND"])
@pytest.mark.parametrize("types", ["F F F U", "F F F F"])
def test_missing_points_and_colours_are_left_out(tmp_path, nan, types):
    body = " ".join([nan] * 4).encode() + b"\n" + as_text(ROWS)
    path = write(tmp_path / "a.pcd", body, data="ascii", types=types, width=21, points=21)
    assert_the_cloud(read_cloud(path))


@pytest.mark.parametrize("trailing", [b"", b"rest"])
def test_points_that_are_stored_as_they_are(tmp_path, trailing):
    body = compressed_body(COLUMNS, COLUMNS) + trailing
    assert_the_cloud(read_cloud(write(tmp_path / "a.pcd", body, data="binary_compressed")))


@pytest.mark.parametrize("stored", [True, False])
def test_padding_of_compressed_points_is_stored_or_not(tmp_path, stored):
    columns = COLUMNS[:240] + bytes(60) * stored + COLUMNS[240:]
    body = compressed_body(columns, literal_lzf(columns))
    header = {"fields": "x y z _ rgb", "sizes": "4 4 4 1 4", "types": "F F F U U", "counts": "1 1 1 3 1"}
    assert_the_cloud(read_cloud(write(tmp_path / "a.pcd", body, data="binary_compressed", **header)))


def with_colours(*fields):
    """The points with other fields for their colours, as names and values; the header of these and their bytes."""
    table = np.zeros(20, [(axis, "<f4") for axis in "xyz"] + [(n, v.dtype, v.shape[1:]) for n, v in fields])
    for axis in "xyz":
        table[axis] = TABLE[axis]
    for name, values in fields:
        table[name] = values
    types = [table.dtype[name] for name in table.dtype.names]
    header = {
        "fields": " ".join(table.dtype.names),
        "sizes": " ".join(str(dtype.base.itemsize) for dtype in types),
        "types": " ".join(dtype.base.kind.upper() for dtype in types),
        "counts": " ".join(str(int(np.prod(dtype.shape))) for dtype in types),
    }
    return header, table


COLOURS = {
    "float": [("rgb", PACKED.view(np.float32))],
    "number in a float": [("rgb", PACKED.astype(np.float32))],
    "whole number": [("rgb", PACKED)],
    "signed": [("rgb", PACKED.view(np.int32))],
    "with alpha": [("rgba", PACKED | 0xFF000000)],
    "signed with alpha": [("rgba", (PACKED | 0xFF000000).view(np.int32))],
    "float with alpha": [("rgba", (PACKED | 0xFF000000).view(np.float32))],
    "three bytes": [("rgb", RGB)],
    "four bytes": [("rgba", np.column_stack([RGB, RGB[:, :1]]))],
    "three fields": [(name, RGB[:, i]) for i, name in enumerate("rgb")],
    "three fractions": [
        (name, (RGB[:, i] / 255).astype(np.float32)) for i, name in enumerate(("red", "green", "blue"))
    ],
}


# Text has no bits of NaN.
@pytest.mark.parametrize(
    ("name", "encoding"),
    [*((name, "binary") for name in COLOURS), *((name, "ascii") for name in COLOURS if name != "float with alpha")],
)
def test_colours_of_all_kinds(tmp_path, name, encoding):
    header, table = with_colours(*COLOURS[name])
    rows = [np.hstack([np.atleast_1d(value) for value in row]) for row in table.tolist()]
    body = table.tobytes() if encoding == "binary" else as_text(rows)
    assert_the_cloud(read_cloud(write(tmp_path / "a.pcd", body, data=encoding, **header)))


def test_types_that_nobody_knows_or_needs_keep_their_places(tmp_path):
    table = np.zeros(20, [*TABLE.dtype.descr[:1], ("q", "V6"), *TABLE.dtype.descr[1:]])
    for name in TABLE.dtype.names:
        table[name] = TABLE[name]
    header = {"fields": "x q y z rgb", "sizes": "4 3 4 4 4", "types": "F Q F F U", "counts": "1 2 1 1 1"}
    assert_the_cloud(read_cloud(write(tmp_path / "a.pcd", table.tobytes(), **header)))


FAULTS = {
    "no z": ({"fields": "x y w rgb"}, "no field 'z'"),
    "lengths": ({"sizes": "4 4 4"}, "different lengths"),
    "type": ({"types": "F Q F F"}, "field 'y' has type"),
    "size": ({"sizes": "4 3 4 4", "width": 21, "points": 21}, "field 'y' has type"),
    "no size": ({"sizes": "4 4 4 x"}, "'rgb' of size x"),
    "count": ({"counts": "1 1 1 -1"}, "count -1"),
    "count 0": ({"counts": "1 1 1 0"}, "count 0"),
    "huge count": ({"counts": "1 1 1 4000000000"}, "more than 65536 bytes a point"),
    "no number": ({"width": "many"}, "WIDTH or HEIGHT without a whole number"),
    "encoding": ({"data": "zip"}, "unknown PCD encoding 'zip'"),
    "too few bytes": (
        {"width": 21, "points": 21},
        "has 320 bytes of points of 16 bytes each, its PCD header promises 21",
    ),
    "huge": ({"width": 2**40, "height": 2**20, "points": 2**60}, f"promises {2**60} points"),
    "huge text": ({"width": 2**40, "points": 2**40, "data": "ascii"}, "a.pcd"),
    "huge compressed": ({"width": 2**40, "points": 2**40, "data": "binary_compressed"}, "promises"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_header_that_does_not_fit_is_refused(tmp_path, name):
    header, text = FAULTS[name]
    with pytest.raises(InputError) as error:
        read_cloud(write(tmp_path / "a.pcd", TABLE.tobytes(), **header))
    assert text in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"VERSION 0.7\nFIELDS x y z\n", b"hello\n", b"VERSION 0.7\nDATA ascii\n1 2 3\n"])
def test_an_incomplete_header_is_refused(tmp_path, content):
    (tmp_path / "a.pcd").write_bytes(content)
    with pytest.raises(InputError, match="PCD header"):
        read_cloud(tmp_path / "a.pcd")


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-5], lambda data: b"\xe0" + data[1:]], ids=["cut", "copy from before the start"]
)
def test_damaged_compressed_points_are_refused(tmp_path, damage):
    header = {"fields": "x y z", "sizes": "4 4 4", "types": "F F F", "counts": "1 1 1", "width": 64, "points": 64}
    body = compressed_body(bytes(768), damage(LIBLZF))
    with pytest.raises(InputError, match="damaged compressed points"):
        read_cloud(write(tmp_path / "a.pcd", body, data="binary_compressed", **header))


def test_text_that_is_cut_is_refused(tmp_path):
    rows = [(*point.tolist(), 0) for point in XYZ]
    with pytest.raises(InputError, match=r"a\.pcd: has 19 rows of points, .* promises 20 points"):
        read_cloud(write(tmp_path / "a.pcd", as_text(rows[:-1]), data="ascii"))
