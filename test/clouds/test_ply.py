"""The points of a PLY file are read whatever program wrote it, and whatever is wrong with what nobody needs."""

import codecs
import struct

import numpy as np
import pytest
from ply_bytes import FORMATS, body, header, ply_bytes

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.errors import InputError

POINTS = 24
XYZ = np.random.default_rng(7).uniform(-1, 2, (POINTS, 3)).astype(np.float32)
RGB = np.random.default_rng(8).integers(0, 256, (POINTS, 3), dtype=np.uint8)
PACKED = RGB.astype(np.uint32) @ np.uint32([1 << 16, 1 << 8, 1])
FACES = "element face 2\nproperty list uchar int vertex_indices\n"
TRIANGLES = b"3 0 1 2\n3 2 3 4\n"


def table(kind="f4", colour="u1", colours=RGB, names=("red", "green", "blue")):
    """The points as a structured array."""
    vertices = np.zeros(POINTS, [*((axis, kind) for axis in "xyz"), *((name, colour) for name in names)])
    for i, axis in enumerate("xyz"):
        vertices[axis] = XYZ[:, i]
    for i, name in enumerate(names):
        vertices[name] = colours[:, i]
    return vertices


def packed(kind, values, name="rgb"):
    """The points with one value for their colour."""
    vertices = np.zeros(POINTS, [*((axis, "f4") for axis in "xyz"), (name, kind)])
    for i, axis in enumerate("xyz"):
        vertices[axis] = XYZ[:, i]
    vertices[name] = values
    return vertices


def with_column(text, values, line):
    """A text file with one more property, behind the others."""
    head, _, rows = text.partition(b"end_header\n")
    rows = b"".join(b"%s %s\n" % (row, value) for row, value in zip(rows.splitlines(), values, strict=True))
    return head + line + b"end_header\n" + rows


def assert_the_cloud(cloud, tolerance=0):
    np.testing.assert_allclose(cloud.xyz, XYZ, atol=1e-6)
    np.testing.assert_allclose(cloud.rgb.astype(int), RGB, atol=tolerance)


TEXT = ply_bytes(table(), "ascii")
BINARY = ply_bytes(table())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_text_and_both_byte_orders(tmp_path, form, kind):
    (tmp_path / "a.ply").write_bytes(ply_bytes(table(kind), form, FACES, TRIANGLES))
    cloud = read_cloud(tmp_path / "a.ply")
    assert_the_cloud(cloud)
    assert cloud.xyz.dtype == kind


HEADERS = {
    "comment in latin-1": lambda data: data.replace(b"element v", b"comment B\xfcro\nelement v"),
    "comment in Shift JIS": lambda data: data.replace(b"element v", b"comment \x83e\x83X\x83g\nelement v"),
    "byte-order mark": lambda data: codecs.BOM_UTF8 + data,
    "CRLF": lambda data: data[:-1].replace(b"\n", b"\r\n") + b"\n",
    "CR": lambda data: data.replace(b"\n", b"\r"),
    "CRLF behind end_header": lambda data: data.replace(b"end_header\n", b"end_header\r\n"),
    "two CR": lambda data: data.replace(b"\n", b"\r\r\n"),
    "white space at the ends": lambda data: data.replace(b"\n", b" \t\n"),
    "white space at the starts": lambda data: b"\n  " + data[:-1].replace(b"\n", b"\n\t") + b"\n",
    "tabs": lambda data: data.replace(b" ", b"\t\t"),
    "blank lines": lambda data: data.replace(b"property", b"\n \nproperty"),
    "capitals": lambda data: data.upper().replace(b"PLY", b"PLY", 1),
    "unknown lines": lambda data: data.replace(b"element v", b"obj_info num_cols 5\nunits m\nelement v"),
    "types of C": lambda data: data.replace(b"uchar", b"unsigned char").replace(b"float", b"float32_t"),
    "long comments": lambda data: data.replace(b"element v", b"comment " + b"x" * 200_000 + b"\nelement v"),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
def test_headers_of_all_kinds_of_programs(tmp_path, name, form):
    vertices = table()
    (tmp_path / "a.ply").write_bytes(HEADERS[name](header(form, vertices)) + body(form, vertices))
    assert_the_cloud(read_cloud(tmp_path / "a.ply"))


@pytest.mark.parametrize("first", [b"\n", b"\r"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_the_first_byte_of_the_points_may_look_like_a_line_end(tmp_path, first, end):
    if (first, end) == (b"\n", b"\r\n"):
        end = b"\n"
    head = header("binary_little_endian", table()).replace(b"\n", end)
    data = first + body("binary_little_endian", table())[1:]
    (tmp_path / "a.ply").write_bytes(head + data)
    expected = XYZ.copy()
    expected[0, 0] = np.frombuffer(data, "<f4", 1)[0]
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.ply").xyz, expected)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_text_in_utf_16(tmp_path, codec):
    mark = codecs.BOM_UTF16_LE if codec == "utf-16-le" else codecs.BOM_UTF16_BE
    (tmp_path / "a.ply").write_bytes(mark + TEXT.decode().encode(codec))
    assert_the_cloud(read_cloud(tmp_path / "a.ply"))


BODIES = {
    "blank lines": lambda data: data.replace(b"end_header\n", b"end_header\n\n \n"),
    "mixed line ends": lambda data: b"\r\n".join(data.split(b"\n", 15)),
    "no last line end": lambda data: data.rstrip(),
    "tabs": lambda data: data.replace(b" ", b"\t"),
    "surplus columns": lambda data: with_column(data, [b"7 8 9"] * POINTS, b""),
    "missing columns at the end": lambda data: data.replace(b"end_header", b"property uchar alpha\nend_header"),
    "a text": lambda data: with_column(data, [b"abc"] * POINTS, b"property string name\n"),
    "the name of a colour": lambda data: with_column(data, [b"blue"] * POINTS, b"property string color\n"),
    "truth values": lambda data: with_column(data, [b"True"] * POINTS, b"property bool valid\n"),
    "an unknown type": lambda data: with_column(data, [b"1"] * POINTS, b"property decimal128 q\n"),
    "spaces in a name": lambda data: with_column(data, [b"1"] * POINTS, b"property float scalar_C2C distances\n"),
    "a name twice": lambda data: with_column(data, [b"1"] * POINTS, b"property float x\n"),
    "no name": lambda data: with_column(data, [b"1"] * POINTS, b"property float\n"),
    "whole numbers with a point": lambda data: with_fractions(data),
}


def with_fractions(text):
    """A text file whose colours are written 12.0."""
    head, _, rows = text.partition(b"end_header\n")
    split = [row.split() for row in rows.splitlines()]
    return (
        head + b"end_header\n" + b"".join(b" ".join([*row[:3], *(c + b".0" for c in row[3:])]) + b"\n" for row in split)
    )


@pytest.mark.parametrize("name", BODIES)
def test_rows_of_all_kinds_of_programs(tmp_path, name):
    (tmp_path / "a.ply").write_bytes(BODIES[name](TEXT))
    assert_the_cloud(read_cloud(tmp_path / "a.ply"))


NANS = ["nan", "-nan", "NaN", "inf", "-nan(ind)", "nan(snan)", "-1.#IND", "1.#QNAN", "-1.#IND00", "1.#INF", "1.#J"]


@pytest.mark.parametrize("nan", NANS)
def test_missing_points_as_all_runtimes_print_them(tmp_path, nan):
    text = TEXT.replace(b"vertex 24", b"vertex 25") + f"{nan} {nan} {nan} 1 2 3\n".encode()
    (tmp_path / "a.ply").write_bytes(text)
    assert_the_cloud(read_cloud(tmp_path / "a.ply"))


COLOURS = {
    "fractions": table(colour="f4", colours=RGB / 255),
    "fractions that rounding carried beyond 1": table(colour="f4", colours=RGB / 255 * 1.000001),
    "floats up to 255": table(colour="f8"),
    "16 bits": table(colour="u2", colours=RGB.astype(np.uint16) * 257),
    "16 bits up to 255": table(colour="u2"),
    "32 bits": table(colour="i4"),
    "signed bytes": table(colour="i1", colours=RGB.view(np.int8)),
    "r g b": table(names=("r", "g", "b")),
    "capitals": table(names=("Red", "Green", "Blue")),
    "diffuse": table(names=("diffuse_red", "diffuse_green", "diffuse_blue")),
    "packed float": packed("f4", PACKED.view(np.float32)),
    "packed float with alpha": packed("f4", (PACKED | 0xFF000000).view(np.float32), "rgba"),
    "packed whole number": packed("u4", PACKED),
    "packed with alpha": packed("u4", PACKED | 0xFF000000, "rgba"),
    "packed signed": packed("i4", (PACKED | 0xFF000000).view(np.int32)),
    "packed number in a float": packed("f4", PACKED),
    "packed number in a double": packed("f8", PACKED),
}


# Text has no bits.
BITS = {"signed bytes", "packed float with alpha"}


@pytest.mark.parametrize(
    ("name", "form"), [(name, form) for name in COLOURS for form in FORMATS if form != "ascii" or name not in BITS]
)
def test_colours_of_all_kinds(tmp_path, name, form):
    (tmp_path / "a.ply").write_bytes(ply_bytes(COLOURS[name], form))
    assert_the_cloud(read_cloud(tmp_path / "a.ply"), tolerance=1)


def test_colours_written_as_fractions_in_bytes_are_fractions(tmp_path):
    rows = [" ".join(map(str, [*p, *c])) for p, c in zip(XYZ.tolist(), (RGB / 255).round(6).tolist(), strict=True)]
    (tmp_path / "a.ply").write_bytes(header("ascii", table()) + "\n".join(rows).encode())
    assert_the_cloud(read_cloud(tmp_path / "a.ply"), tolerance=1)


def test_colours_of_the_darkest_bytes_are_no_fractions(tmp_path):
    (tmp_path / "a.ply").write_bytes(ply_bytes(table(colours=RGB % 2), "ascii"))
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.ply").rgb, RGB % 2)


def test_points_without_colours_have_none(tmp_path):
    (tmp_path / "a.ply").write_bytes(ply_bytes(packed("f4", 0, "intensity")))
    cloud = read_cloud(tmp_path / "a.ply")
    np.testing.assert_array_equal(cloud.xyz, XYZ)
    assert cloud.rgb is None


BEHIND = {
    "missing faces": (FACES, b"3 0 1 2\n"),
    "no faces": (FACES, b""),
    "surplus columns": (FACES, b"3 0 1 2 9 9\n3 2 3 4 9 9\n"),
    "whole numbers of 64 bits": (FACES.replace(" int ", " int64 "), TRIANGLES),
    "unknown types": ("element face 2\nproperty list a b c\nproperty d e\nproperty list\n", b"what\never\n"),
    "a false count": (FACES.replace("2", "9" * 60), TRIANGLES),
    "an element without properties": ("element multi_texture 3\n", b""),
}


@pytest.mark.parametrize("name", BEHIND)
@pytest.mark.parametrize("form", FORMATS)
def test_nothing_behind_the_points_matters(tmp_path, name, form):
    (tmp_path / "a.ply").write_bytes(ply_bytes(table(), form, *BEHIND[name]))
    assert_the_cloud(read_cloud(tmp_path / "a.ply"))


def polygons(order, *lengths):
    """Faces with so many corners, a colour before and texture coordinates behind."""
    return b"".join(struct.pack(f"{order}BH{n}iB{n}f", 9, n, *range(n), n, *range(n)) for n in lengths)


POLYGONS = "element face 3\nproperty uchar q\nproperty list ushort int i\nproperty list uchar float t\n"


@pytest.mark.parametrize("lengths", [(3, 3, 3), (3, 4, 0), (0, 0, 0)])
@pytest.mark.parametrize("form", ["binary_little_endian", "binary_big_endian"])
def test_elements_before_the_points_are_skipped(tmp_path, form, lengths):
    before = "element camera 2\nproperty double a\nproperty int64 b\n" + POLYGONS
    head = header(form, table(), before)
    (tmp_path / "a.ply").write_bytes(head + bytes(32) + polygons(FORMATS[form], *lengths) + body(form, table()))
    assert_the_cloud(read_cloud(tmp_path / "a.ply"))


def test_rows_of_text_before_the_points_are_skipped(tmp_path):
    head = header("ascii", table(), "element camera 1\nproperty float a\n" + FACES)
    (tmp_path / "a.ply").write_bytes(head + b"0.5\n3 0 1 2\n\n4 0 1 2 3\n" + body("ascii", table()))
    assert_the_cloud(read_cloud(tmp_path / "a.ply"))


@pytest.mark.parametrize("longest", [1, 3])
@pytest.mark.parametrize("form", ["ascii", "binary_little_endian"])
def test_points_may_have_lists(tmp_path, form, longest):
    head = header(form, table()).replace(b"property float x", b"property list uchar int near\nproperty float x")
    lists = [[7] * (i % longest if longest > 1 else 1) for i in range(POINTS)]
    rows = body(form, table())
    if form == "ascii":
        texts = [" ".join(map(str, [len(values), *values])).encode() for values in lists]
        rows = b"".join(b"%s %s\n" % pair for pair in zip(texts, rows.splitlines(), strict=True))
    else:
        points = [rows[i : i + 15] for i in range(0, len(rows), 15)]
        rows = b"".join(
            struct.pack(f"<B{len(values)}i", len(values), *values) + point
            for values, point in zip(lists, points, strict=True)
        )
    (tmp_path / "a.ply").write_bytes(head + rows)
    assert_the_cloud(read_cloud(tmp_path / "a.ply"))


def test_types_that_nobody_needs_keep_their_places(tmp_path):
    extra = b"property int64 stamp\nproperty bool ok\nproperty float128 q\nproperty half h\nproperty uint8 a\n"
    head = header("binary_little_endian", table()).replace(b"end_header", extra + b"end_header")
    rows = body("binary_little_endian", table())
    (tmp_path / "a.ply").write_bytes(head + b"".join(rows[i : i + 15] + bytes(28) for i in range(0, len(rows), 15)))
    assert_the_cloud(read_cloud(tmp_path / "a.ply"))


FAULTS = {
    "not ply": (b"404: Not Found", "is no PLY file: it begins with '404: Not Found'"),
    "no end": (TEXT[:100], "no line 'end_header'"),
    "no format": (TEXT.replace(b"format", b"comment"), "no PLY header line 'format'"),
    "unknown format": (TEXT.replace(b"ascii", b"binary_middle_endian"), "unknown PLY format 'binary_middle_endian'"),
    "negative count": (TEXT.replace(b"vertex 24", b"vertex -24"), "of count '-24'"),
    "count in words": (TEXT.replace(b"vertex 24", b"vertex many"), "of count 'many'"),
    "no vertex": (TEXT.replace(b"vertex", b"point"), "has no element 'vertex' (elements: point)"),
    "no z": (TEXT.replace(b"float z", b"float w"), "has no field 'z'"),
    "z is a list": (
        BINARY.replace(b"float z", b"list uchar float z").replace(b"vertex 24", b"vertex 0"),
        "no field 'z'",
    ),
    "no points": (BINARY.replace(b"vertex 24", b"vertex 0"), "no finite point (of 0)"),
    "cut between rows": (TEXT[: TEXT.rstrip().rindex(b"\n")], "fewer points than the 24"),
    "cut in a row": (TEXT[: TEXT.rindex(b".")], "invalid column index"),
    "cut": (BINARY[:-1], "has 359 bytes for the 24 entries of 'vertex'"),
    "huge": (BINARY.replace(b"vertex 24", b"vertex 1000000000000"), "promises 1000000000000 points"),
    "huge text": (TEXT.replace(b"vertex 24", b"vertex " + b"9" * 50), "promises " + "9" * 50),
    "decimal commas": (TEXT.replace(b".", b","), "cannot be read"),
    "unknown size": (BINARY.replace(b"uchar red", b"string red"), "'red' of the unknown type 'string'"),
    "faces as points": (
        ply_bytes(packed("f4", 0, "q")[["x", "y", "z"]][:22], "ascii", FACES, TRIANGLES).replace(
            b"vertex 22", b"vertex 24"
        ),
        "fewer points than the 24",
    ),
    "before the points": (header("binary_little_endian", table(), FACES) + b"\xff" * 99, "entries of 'face'"),
    "huge before the points": (
        header("binary_little_endian", table(), FACES.replace("2", "9" * 40)) + bytes(999),
        "entries of 'face'",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_files_that_do_not_show_where_their_points_are_are_refused(tmp_path, name):
    data, text = FAULTS[name]
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(InputError) as error:
        read_cloud(tmp_path / "a.ply")
    assert str(error.value).startswith(f"{tmp_path / 'a.ply'}: ")
    assert text in str(error.value)
