"""Cloud files of every kind, valid and broken."""

import io
import struct
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from mutation import changed
from outcome import Tally, judge

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.files import read_cloud

RNG = np.random.default_rng(3)
XYZ = RNG.normal(size=(20, 3)).astype(np.float32)
RGB = RNG.integers(0, 256, (20, 3), dtype=np.uint8)
PACKED = (RGB.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)).astype("<u4")


def npz_bytes(save=np.savez, **arrays) -> bytes:
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


def _npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def ply_bytes(form: str, faces: bool) -> bytes:
    head = f"ply\nformat {form} 1.0\nelement vertex 20\n"
    head += "".join(f"property float {axis}\n" for axis in "xyz")
    head += "".join(f"property uchar {colour}\n" for colour in ("red", "green", "blue"))
    head += "element face 1\nproperty list uchar int vertex_indices\n" if faces else ""
    data = (head + "end_header\n").encode()
    for point, colour in zip(XYZ, RGB, strict=True):
        if form == "ascii":
            data += (" ".join(map(repr, [*map(float, point), *map(int, colour)])) + "\n").encode()
        else:
            data += struct.pack("<fffBBB", *point, *colour)
    if faces:
        data += b"3 0 1 2\n" if form == "ascii" else struct.pack("<Biii", 3, 0, 1, 2)
    return data


def _pcd(encoding: str) -> bytes:
    head = "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F U\nCOUNT 1 1 1 1\nWIDTH 20\nHEIGHT 1\n"
    data = f"{head}VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 20\nDATA {encoding}\n".encode()
    if encoding == "ascii":
        rows = zip(XYZ, PACKED, strict=True)
        return data + "".join(" ".join(map(str, [*map(float, p), int(c)])) + "\n" for p, c in rows).encode()
    if encoding == "binary":
        return data + b"".join(struct.pack("<fffI", *map(float, p), int(c)) for p, c in zip(XYZ, PACKED, strict=True))
    columns = XYZ.T.tobytes() + PACKED.tobytes()
    literal = b"".join(bytes([len(columns[i : i + 32]) - 1]) + columns[i : i + 32] for i in range(0, len(columns), 32))
    return data + struct.pack("<II", len(literal), len(columns)) + literal


def _odd_ply() -> bytes:
    """A mesh with faces of several lengths before its points, which have a list as well."""
    head = "ply\r\nformat binary_big_endian 1.0\r\ncomment \xfc\r\nelement face 3\r\nproperty list uchar int i\r\n"
    head += "element vertex 20\r\nproperty list ushort short near\r\nproperty int64 stamp\r\n"
    head += "".join(f"property float {name}\r\n" for name in "XYZ") + "property uint rgb\r\nend_header\r\n"
    faces = b"".join(struct.pack(f">B{n}i", n, *range(n)) for n in (3, 4, 0))
    rows = (
        struct.pack(f">H{i % 3}hqfffI", i % 3, *range(i % 3), i, *map(float, point), int(colour))
        for i, (point, colour) in enumerate(zip(XYZ, PACKED, strict=True))
    )
    return head.encode("latin-1") + faces + b"".join(rows)


def _odd_pcd() -> bytes:
    """The oldest version, with NaN as Windows prints it and a missing colour."""
    rows = [" ".join(map(repr, [*map(float, p), int(c)])) for p, c in zip(XYZ, PACKED, strict=True)]
    text = "\n".join(["-nan(ind) 1.#QNAN nan nan", *rows, "# end", "1 2 3 4"])
    return f"# .PCD v.5\nVERSION .5\nLABEL \u00fc\nCOLUMNS x y z rgb\nPOINTS 21\nDATA ascii\n{text}\n".encode()


def _table() -> np.ndarray:
    table = np.zeros(20, [*((axis, "f4") for axis in "xyz"), ("rgb", "f4")])
    for i, axis in enumerate("xyz"):
        table[axis] = XYZ[:, i]
    table["rgb"] = PACKED.view("f4")
    return table


BOXES = {"boxes": np.array([[0, 0, 0, 1, 1, 1]], np.float32), "names": np.array(["cup"])}
VALID = {
    "plain.npz": npz_bytes(xyz=XYZ, rgb=RGB),
    "packed.npz": npz_bytes(np.savez_compressed, xyz=XYZ, rgb=RGB, scale=np.float64(1), **BOXES),
    "numbered.npz": npz_bytes(points=XYZ, colors=RGB, inst=np.arange(20) % 3),
    "frame.npz": npz_bytes(
        K=np.eye(3), pose=np.eye(4), vertices=XYZ.T, colors=RGB / 255, faces=np.arange(30).reshape(10, 3)
    ),
    "table.npz": npz_bytes(cloud=_table()),
    "table.npy": _npy(_table().reshape(4, 5)),
    "six.npy": _npy(np.column_stack([XYZ, RGB]).astype(np.float32)),
    "text.ply": ply_bytes("ascii", faces=True),
    "binary.ply": ply_bytes("binary_little_endian", faces=False),
    "mesh.ply": ply_bytes("binary_little_endian", faces=True),
    "odd.ply": _odd_ply(),
    "odd.pcd": _odd_pcd(),
    "text.pcd": _pcd("ascii"),
    "binary.pcd": _pcd("binary"),
    "packed.pcd": _pcd("binary_compressed"),
    "six.bin": np.column_stack([XYZ, RGB]).astype("<f4").tobytes(),
}
FILES = changed(VALID)


def strategy(folder: Path, files: st.SearchStrategy = FILES) -> st.SearchStrategy:
    """Files that are to be written into a folder."""
    return files.map(lambda case: (folder, *case))


def read(tally: Tally, case) -> PointCloud | None:
    """The cloud of one file, which keeps its promises; None for a refusal, which valid files do not get."""
    folder, name, data, untouched = case
    path = folder / name
    path.write_bytes(data)
    cloud = judge(tally, lambda: read_cloud(path), str(path))
    assert cloud is not None or not untouched
    if cloud is None:
        return None
    assert cloud.xyz.dtype in (np.float32, np.float64)
    assert cloud.xyz.ndim == 2
    assert cloud.xyz.shape[1] == 3
    assert (np.abs(cloud.xyz) <= np.finfo(np.float32).max).all()
    assert cloud.rgb is None or (cloud.rgb.dtype == np.uint8 and cloud.rgb.shape == cloud.xyz.shape)
    assert cloud.truth is None or len(cloud.truth.boxes) == len(cloud.truth.names)
    return cloud


def run(tally: Tally, case) -> None:
    """One file: valid ones give the points that were written; others a cloud that keeps its promises, or a refusal."""
    _, name, data, untouched = case
    cloud = read(tally, case)
    if cloud is None:
        return
    if untouched:
        assert cloud.xyz.dtype == np.float32
        np.testing.assert_array_equal(cloud.xyz, XYZ)
        np.testing.assert_array_equal(cloud.rgb, RGB)
    if name.endswith(".bin"):
        np.testing.assert_array_equal(cloud.xyz, _floats(data))


def _floats(data: bytes) -> np.ndarray:
    points = [struct.unpack_from("<3f", data, start) for start in range(0, len(data), 24)]
    return np.array([point for point in points if np.isfinite(point).all()], np.float32)
