"""Text, LAS, LAZ, E57 and mesh files, valid and broken; those whose package is not installed are left out."""

import tempfile
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import cloud_files
import numpy as np
from cloud_files import RGB, XYZ
from hypothesis import strategies as st
from mutation import changed
from outcome import Tally

from dspdet3d_ros.clouds import mesh_files

# Points on faces of random size, as many as a small case justifies.
MOST_POINTS = 10_000
COLOURS = np.column_stack([RGB, np.full(20, 255, np.uint8)])


def _rows(separator: str, head: str = "", between: tuple = ()) -> bytes:
    lines = (separator.join(map(repr, [*map(float, p), *between, *map(int, c)])) for p, c in zip(XYZ, RGB, strict=True))
    return (head + "\n".join(lines)).encode()


def _written(name: str, write) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def _las(path: Path) -> None:
    import laspy

    header = laspy.LasHeader(point_format=2, version="1.2")
    header.scales, header.offsets = np.full(3, 1e-6), np.zeros(3)
    data = laspy.LasData(header)
    data.x, data.y, data.z = XYZ.T.astype(np.float64)
    data.red, data.green, data.blue = RGB.T.astype(np.uint16) * 257
    data.write(str(path))


def _e57(path: Path) -> None:
    import pye57

    values = {f"cartesian{axis}": XYZ[:, k].astype(np.float64) for k, axis in enumerate("XYZ")}
    values |= {f"color{name}": RGB[:, k] for k, name in enumerate(("Red", "Green", "Blue"))}
    with pye57.E57(str(path), mode="w") as file:
        file.write_scan_raw(values)


def _meshes() -> dict[str, bytes]:
    import trimesh

    mesh = trimesh.Trimesh(XYZ, np.arange(18).reshape(6, 3), process=False, vertex_colors=COLOURS)
    cloud = trimesh.PointCloud(XYZ, colors=COLOURS)
    return {
        "mesh.obj": mesh.export(file_type="obj").encode(),
        "mesh.stl": mesh.export(file_type="stl"),
        "text.stl": mesh.export(file_type="stl_ascii").encode(),
        "mesh.glb": mesh.export(file_type="glb"),
        "cloud.glb": trimesh.Scene(cloud).export(file_type="glb"),
    }


VALID = {
    "plain.xyz": _rows(" "),
    "names.csv": _rows(",", "x,y,z,red,green,blue\n"),
    "commas.txt": _rows(";", "//x;y;z;r;g;b\n").replace(b".", b","),
    "counted.pts": _rows("\t", "20\n", (-1200,)),
}
if find_spec("laspy"):
    VALID["a.las"] = _written("a.las", _las)
if find_spec("lazrs") and find_spec("laspy"):
    VALID["a.laz"] = _written("a.laz", _las)
if find_spec("pye57"):
    VALID["a.e57"] = _written("a.e57", _e57)
if find_spec("trimesh"):
    VALID |= _meshes()
FILES = changed(VALID)


def strategy(folder: Path) -> st.SearchStrategy:
    """Files that are to be written into a folder."""
    return cloud_files.strategy(folder, FILES)


def run(tally: Tally, case) -> None:
    """One file: valid ones give the points that were written; others a cloud that keeps its promises, or a refusal."""
    _, name, _, untouched = case
    with patch.object(mesh_files, "MOST_POINTS", MOST_POINTS):
        cloud = cloud_files.read(tally, case)
    if cloud is None:
        return
    assert cloud.xyz.shape == (len(cloud.xyz), 3)
    if untouched and "mesh" not in name and "stl" not in name:
        np.testing.assert_allclose(cloud.xyz, XYZ, atol=1e-6)
        np.testing.assert_array_equal(cloud.rgb, RGB)
