"""Clouds from files of all kinds; the suffix decides how a file is read."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.clouds.columns import RawPoints, are_clearly_colours, to_rgb8
from dspdet3d_ros.clouds.content import check_content
from dspdet3d_ros.clouds.e57 import read_e57
from dspdet3d_ros.clouds.isolation import isolated
from dspdet3d_ros.clouds.las import read_las
from dspdet3d_ros.clouds.mesh_files import read_mesh
from dspdet3d_ros.clouds.numpy_files import read_npy_cloud, read_npz_cloud
from dspdet3d_ros.clouds.pcd import read_pcd
from dspdet3d_ros.clouds.ply import read_ply
from dspdet3d_ros.clouds.rows import read_rows
from dspdet3d_ros.defaults import BIN_COLUMNS, BIN_LAYOUTS
from dspdet3d_ros.errors import InputError, no_such_file, text_of


def read_cloud(path: str | Path, columns: int | None = None) -> PointCloud:
    """Reads a cloud; the suffix of the file decides how.

    .npz: points (N, 3) in `xyz` or another usual name (`columns.POINT_NAMES`), times `scale` if there is one; colours
        in `rgb` or another usual name (`columns.COLOUR_NAMES`); ground truth from `boxes` (K, 6: centre and size,
        metres) with `names` (K strings), or else from `inst` (N; object number of each point, 0 is background) as the
        extent of each object's points that are kept. Without a usual name, the only array that must be points.
    .npy: (N, 3 or more): x y z, then r g b if there are six columns; organised as (H, W, 3 or 6); or structured.
    .ply: the element `vertex` with x y z and colours, text or binary; other elements are ignored.
    .pcd: x y z and rgb; ascii, binary or binary_compressed.
    .bin: float32, little-endian, `columns` a point.
    .xyz, .txt, .pts, .csv: one point per line; see `rows.read_rows`.
    .las, .laz, .e57: all points, with the packages laspy (and lazrs) or pye57.
    .obj, .stl, .glb, .gltf: points on the faces, or the vertices if there are none; with the package trimesh.

    Coordinates of more digits than float32 holds (float64, integers of 32 bits and more) are read as float64. Colours
    may be 0..255, 0..65535 or, if all are floats within 0..1, fractions. Points with a coordinate that is not finite,
    or beyond float32, are dropped. Nothing is ever unpickled, and sizes in headers are checked against the file.

    Args:
        path: the file.
        columns: values a point of a .bin, at least 3: x y z, then r g b if there are 6 or more and they can be colours.
            Without it there are 6, and files whose columns 4 to 6 are no colours are refused.

    Raises:
        InputError: the file is missing, damaged, of an unknown kind, not clearly a cloud, or holds no finite point; or
            a package for such files is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: unknown kind of cloud file '{path.suffix}'; convert it to {', '.join(SUFFIXES)}")
    # Unlike Path.is_file it also works for names that are too long for a file.
    if not os.path.isfile(path):
        raise no_such_file(path)
    try:
        check_content(path)
        reader = _READERS.get(path.suffix.lower())
        return _cloud(reader(path) if reader else _read_bin(path, columns))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        # For a damaged file the parsers raise errors of many types: zip, struct, decoding, memory.
        detail = text_of(error)
        raise InputError(
            f"{path}: cannot be read as {path.suffix.lower()}: {detail}; write or copy it again"
        ) from error


def _cloud(points: RawPoints) -> PointCloud:
    cloud = PointCloud.of(points.xyz, points.rgb, points.truth)
    if not len(cloud.xyz):
        raise InputError(f"holds no finite point (of {cloud.points_in}); expected x, y, z in metres; record it again")
    return cloud


def _read_bin(path: Path, columns: int | None) -> RawPoints:
    width = BIN_COLUMNS if columns is None else columns
    if width < 3:
        raise InputError(f"cannot have {width} columns a point; name at least 3: x y z")
    size = path.stat().st_size
    if size % (4 * width):
        raise InputError(
            f"has {size} bytes, no multiple of {4 * width}: {width} columns of float32; {_advice(size, width)}"
        )
    points = np.fromfile(path, "<f4").reshape(-1, width)
    rgb = to_rgb8(points[:, 3:6])
    if columns is None and (rgb is None or not are_clearly_colours(points[:, 3:6])):
        raise InputError(f"has no colours (0..255) in columns 4 to 6 of {width}; {_advice(size, width)}")
    return RawPoints(points[:, :3], rgb)


def _advice(size: int, width: int) -> str:
    fitting = [n for n in BIN_LAYOUTS if n != width and size % (4 * n) == 0]
    if not fitting:
        return "copy it again, or name the number of columns: --columns N"
    return "if it has another number of columns, name it: " + " or ".join(
        f"--columns {n} ({BIN_LAYOUTS[n]})" for n in fitting
    )


_READERS: dict[str, Callable[[Path], RawPoints]] = {
    ".npz": read_npz_cloud,
    ".npy": read_npy_cloud,
    ".ply": read_ply,
    ".pcd": read_pcd,
    **dict.fromkeys((".xyz", ".txt", ".pts", ".csv"), read_rows),
    ".las": read_las,
    ".laz": isolated(read_las),
    ".e57": isolated(read_e57),
    **dict.fromkeys((".obj", ".stl", ".glb", ".gltf"), read_mesh),
}
#: All kinds of cloud files.
SUFFIXES = (*_READERS, ".bin")
