"""Detections as files of other programs: tables, label files, boxes as meshes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.formats.detection_results import FoundBoxes
from dspdet3d_ros.learning.datasets.formats.kitti import write_kitti
from dspdet3d_ros.learning.datasets.formats.labelcloud import CLASSES, write_classes, write_labelcloud
from dspdet3d_ros.learning.datasets.formats.oriented import OrientedBoxes
from dspdet3d_ros.output_files import writing_whole

TABLE = "detections.csv"
_COLUMNS = ("cloud", "class", "score", "x", "y", "z", "size_x", "size_y", "size_z", "yaw")
#: Two triangles for each face of a box, outward; corner k is at the signs of the bits of k, x first.
_FACES = (
    *((0, 2, 1), (1, 2, 3), (4, 5, 6), (5, 7, 6), (0, 1, 4), (1, 5, 4)),
    *((2, 6, 3), (3, 6, 7), (0, 4, 2), (2, 4, 6), (1, 3, 5), (3, 7, 5)),
)
_COLOURS = ((255, 75, 62), (63, 208, 255), (255, 210, 63), (126, 224, 129), (199, 125, 255), (255, 159, 28))


def export_csv(found: Sequence[FoundBoxes], folder: Path) -> int:
    """Writes one table of all clouds: metres with z up, the yaw in radians about z. Returns the number of files."""
    with (
        writing_whole(folder / TABLE) as part,
        open(part, "w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        for one in found:
            rows, _ = one.boxes.turned()
            for name, score, row in zip(one.boxes.names, one.scores, rows, strict=True):
                values = (f"{float(value):.6g}" for value in (score, *row))
                writer.writerow([one.cloud, name, *values])
    return 1


def export_labelcloud(found: Sequence[FoundBoxes], folder: Path) -> int:
    """Writes a label file for each cloud, and the list of classes; in the frame and unit of the cloud files."""
    names = sorted({name for one in found for name in one.boxes.names})
    for one in found:
        contents = write_labelcloud(Path(one.cloud).name, one.boxes.moved(one.to_file))
        _write(folder / f"{Path(one.cloud).stem}.json", json.dumps(contents, indent=1) + "\n")
    _write(folder / CLASSES, json.dumps(write_classes(names), indent=1) + "\n")
    return len(found)


def export_kitti(found: Sequence[FoundBoxes], folder: Path) -> int:
    """Writes a text file for each cloud, in the frame and unit of the cloud files.

    Raises:
        InputError: the boxes do not stand upright in the frame of a cloud file.
    """
    for one in found:
        rows, upright = one.boxes.moved(one.to_file).turned()
        if not upright.all():
            raise InputError(
                f"{one.cloud}: z is not vertical in this file, which KITTI's format needs; export labelcloud or csv"
            )
        _write(folder / f"{Path(one.cloud).stem}.txt", write_kitti(rows, one.boxes.names, one.scores.tolist()))
    return len(found)


def export_ply(found: Sequence[FoundBoxes], folder: Path) -> int:
    """Writes a mesh of all boxes of each cloud, a colour per class; in the frame and unit of the cloud files."""
    names = sorted({name for one in found for name in one.boxes.names})
    for one in found:
        _write(folder / f"{Path(one.cloud).stem}.ply", _mesh(one.boxes.moved(one.to_file), names))
    return len(found)


def _mesh(boxes: OrientedBoxes, names: Sequence[str]) -> str:
    corners = boxes.corners().reshape(-1, 3)
    count = len(boxes)
    lines = ["ply", "format ascii 1.0", f"element vertex {8 * count}"]
    lines += [f"property double {axis}" for axis in "xyz"]
    lines += [f"property uchar {colour}" for colour in ("red", "green", "blue")]
    lines += [f"element face {len(_FACES) * count}", "property list uchar int vertex_indices", "end_header"]
    for k, corner in enumerate(corners):
        colour = _COLOURS[names.index(boxes.names[k // 8]) % len(_COLOURS)]
        lines.append(" ".join([*(f"{float(value):.9g}" for value in corner), *map(str, colour)]))
    for k in range(count):
        lines += [f"3 {8 * k + a} {8 * k + b} {8 * k + c}" for a, b, c in _FACES]
    return "\n".join(lines) + "\n"


def _write(path: Path, content: str) -> None:
    with writing_whole(path) as part:
        part.write_text(content, encoding="utf-8")


#: By the name of the format.
EXPORTS: dict[str, Callable[[Sequence[FoundBoxes], Path], int]] = {
    "csv": export_csv,
    "labelcloud": export_labelcloud,
    "kitti": export_kitti,
    "ply": export_ply,
}
