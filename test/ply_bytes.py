"""PLY files for tests, as the format's description has them."""

import numpy as np

FORMATS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
TYPES = {"u1": "uchar", "i1": "char", "u2": "ushort", "i4": "int", "u4": "uint", "f4": "float", "f8": "double"}


def properties(vertices: np.ndarray) -> str:
    """The header lines of the fields of a structured array."""
    fields = vertices.dtype.names
    return "".join(f"property {TYPES[vertices.dtype[name].str[1:]]} {name}\n" for name in fields)


def header(form: str, vertices: np.ndarray, before: str = "", after: str = "") -> bytes:
    """The header of a file of points, between the header lines of other elements."""
    element = f"element vertex {len(vertices)}\n{properties(vertices)}"
    return f"ply\nformat {form} 1.0\n{before}{element}{after}end_header\n".encode()


def body(form: str, vertices: np.ndarray) -> bytes:
    """The rows of the points."""
    if form == "ascii":
        return "".join(" ".join(map(str, row)) + "\n" for row in vertices.tolist()).encode()
    return vertices.astype(vertices.dtype.newbyteorder(FORMATS[form])).tobytes()


def ply_bytes(vertices: np.ndarray, form: str = "binary_little_endian", after: str = "", rest: bytes = b"") -> bytes:
    """A file of points.

    Args:
        vertices: (N,) structured array.
        form: one of FORMATS.
        after: header lines of further elements.
        rest: their rows.
    """
    return header(form, vertices, after=after) + body(form, vertices) + rest
