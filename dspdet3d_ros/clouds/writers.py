"""Clouds to files: .ply, .pcd (both binary) and .npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dspdet3d_ros.clouds.cloud import PointCloud
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.output_files import writing_whole

SUFFIXES = (".ply", ".npz", ".pcd")
_PLY_TYPES = {"f4": "float", "f8": "double", "u1": "uchar"}


def check_suffix(path: str | Path) -> None:
    """Refuses the name of a file that `write_cloud` cannot write.

    Raises:
        InputError: the suffix is unknown.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: expected a cloud file with the suffix {', '.join(SUFFIXES)}; name it so")


def write_cloud(path: str | Path, cloud: PointCloud) -> None:
    """Writes points and colours; `clouds.files.read_cloud` reads them back. The file is complete or not there.

    Args:
        path: the suffix decides on the format.
        cloud: without ground truth, which is not written.

    Raises:
        InputError: the suffix is unknown, or the file cannot be written.
    """
    check_suffix(path)
    path = Path(path)
    # An open file, because numpy adds its suffix to a name.
    with writing_whole(path) as part, open(part, "wb") as file:
        if path.suffix.lower() != ".npz":
            header, rows = (_ply if path.suffix.lower() == ".ply" else _pcd)(cloud)
            file.write(header.encode("ascii") + rows.tobytes())
        elif cloud.rgb is None:
            np.savez_compressed(file, xyz=cloud.xyz)
        else:
            np.savez_compressed(file, xyz=cloud.xyz, rgb=cloud.rgb)


def _ply(cloud: PointCloud) -> tuple[str, np.ndarray]:
    kind = cloud.xyz.dtype.newbyteorder("<").str[1:]
    fields = [(axis, f"<{kind}") for axis in "xyz"]
    if cloud.rgb is not None:
        fields += [(name, "u1") for name in ("red", "green", "blue")]
    rows = np.empty(len(cloud.xyz), fields)
    for axis, name in enumerate("xyz"):
        rows[name] = cloud.xyz[:, axis]
    if cloud.rgb is not None:
        for channel, name in enumerate(("red", "green", "blue")):
            rows[name] = cloud.rgb[:, channel]
    properties = "\n".join(f"property {_PLY_TYPES[code.lstrip('<')]} {name}" for name, code in fields)
    return f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{properties}\nend_header\n", rows


def _pcd(cloud: PointCloud) -> tuple[str, np.ndarray]:
    fields = [(axis, cloud.xyz.dtype.newbyteorder("<")) for axis in "xyz"]
    if cloud.rgb is not None:
        fields.append(("rgb", np.dtype("<f4")))
    rows = np.empty(len(cloud.xyz), fields)
    for axis, name in enumerate("xyz"):
        rows[name] = cloud.xyz[:, axis]
    if cloud.rgb is not None:
        # The format packs colours into the bits of a float.
        red, green, blue = cloud.rgb.T.astype(np.uint32)
        rows["rgb"] = ((red << 16) | (green << 8) | blue).astype("<u4").view("<f4")
    names = " ".join(name for name, _ in fields)
    sizes = " ".join(str(kind.itemsize) for _, kind in fields)
    count = len(rows)
    header = (
        f"# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS {names}\nSIZE {sizes}\n"
        f"TYPE {' '.join('F' * len(fields))}\nCOUNT {' '.join('1' * len(fields))}\nWIDTH {count}\nHEIGHT 1\n"
        f"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {count}\nDATA binary\n"
    )
    return header, rows
