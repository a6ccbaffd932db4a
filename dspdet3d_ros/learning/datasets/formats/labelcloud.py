"""labelCloud's JSON files: boxes by centre, size and angles (centroid_rel, centroid_abs), or by corners (vertices).

The files of centroid_rel (radians) and centroid_abs (degrees) look alike. `_classes.json` in the same folder says which
it is, or the angles of all files do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.formats.annotation import (
    Annotation,
    entries,
    numbers,
    read_json,
    sizes,
    text,
)
from dspdet3d_ros.learning.datasets.formats.oriented import OrientedBoxes, rotation

CLASSES = "_classes.json"
ANGLES = ("radians", "degrees")
_AXES = ("x", "y", "z")
_SIZES = ("length", "width", "height")
_FORMATS = {"centroid_rel": "radians", "centroid_abs": "degrees"}
_EDGES = ((0, 3), (0, 1), (0, 4))


def is_labelcloud(contents: Any) -> bool:
    """True for the contents of a label file."""
    if not isinstance(contents, dict) or not isinstance(contents.get("objects"), list) or "figures" in contents:
        return False
    objects = contents["objects"]
    labelled = any(isinstance(item, dict) and ("centroid" in item or "vertices" in item) for item in objects)
    return labelled or (not objects and {"folder", "filename", "path"} <= set(contents))


def unit_of_angles(files: Mapping[Path, Any], given: str | None = None) -> str:
    """The unit of the angles in label files that belong together.

    Args:
        files: contents by path.
        given: the unit, if the user names it.

    Raises:
        InputError: it is not clear.
    """
    if given is not None:
        return given
    for folder in {path.parent for path in files}:
        if (folder / CLASSES).is_file():
            described = read_json(folder / CLASSES)
            named = described.get("format") if isinstance(described, dict) else None
            if isinstance(named, str) and named in _FORMATS:
                return _FORMATS[named]
    angles = [angle for contents in files.values() for angle in _angles(contents)]
    if any(abs(angle) > 2 * math.pi for angle in angles):
        return "degrees"
    if any(angle < 0 for angle in angles) or not any(angles):
        return "radians"
    path = next(iter(files))
    raise InputError(
        f"{path}: angles of 0 to {max(angles):g} may be radians (centroid_rel) or degrees (centroid_abs); "
        "add --angles radians or --angles degrees"
    )


def _angles(contents: Any) -> Iterable[float]:
    for item in contents["objects"]:
        rotations = item.get("rotations") if isinstance(item, dict) else None
        if isinstance(rotations, dict):
            yield from (float(v) for v in rotations.values() if isinstance(v, (int, float)) and math.isfinite(v))


def read_labelcloud(path: Path, contents: Any, angles: str) -> Annotation:
    """The boxes of a label file.

    Args:
        path: of the file.
        contents: of the file.
        angles: see `unit_of_angles`.

    Raises:
        InputError: a value is missing or wrong; the text names the object, not the file.
    """
    factor = 1.0 if angles == "radians" else math.pi / 180
    rows = []
    for k, item in enumerate(entries(contents["objects"], "objects")):
        what = f"object {k}"
        name = text(item.get("name"), what)
        if "vertices" in item:
            rows.append((name, *_from_corners(item["vertices"], what)))
            continue
        turns = numbers(item.get("rotations"), f"{what}, rotations", _AXES) * factor
        centre = numbers(item.get("centroid"), f"{what}, centroid", _AXES)
        size = sizes(numbers(item.get("dimensions"), f"{what}, dimensions", _SIZES), what)
        rows.append((name, centre, rotation(*turns), size))
    named = contents.get("filename")
    clouds = (named,) if isinstance(named, str) and named else ()
    return Annotation(path, (*clouds, path.stem), OrientedBoxes.of(rows))


def _from_corners(values: Any, what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre, axes and size of a box with eight corners in labelCloud's order."""
    if not isinstance(values, list) or len(values) != 8:
        raise InputError(f"{what}: expected 8 vertices; correct or delete the box")
    corners = np.array([numbers(value, f"{what}, vertex {k}") for k, value in enumerate(values)])
    edges = np.array([corners[a] - corners[b] for a, b in _EDGES])
    size = sizes(np.linalg.norm(edges, axis=1), what)
    axes = (edges / size[:, None]).T
    if np.abs(axes.T @ axes - np.eye(3)).max() > 0.02:
        raise InputError(f"{what}: its vertices are not those of a box; correct or delete it")
    return corners.mean(0), axes, size


def write_labelcloud(cloud: str, boxes: OrientedBoxes) -> dict[str, Any]:
    """The contents of a label file of the format centroid_rel.

    Args:
        cloud: name of the cloud file.
        boxes: in the frame of that file.
    """
    objects = [
        {
            "name": name,
            "centroid": dict(zip(_AXES, map(float, centre), strict=True)),
            "dimensions": dict(zip(_SIZES, map(float, size), strict=True)),
            "rotations": dict(zip(_AXES, map(float, angles), strict=True)),
        }
        for name, centre, size, angles in zip(boxes.names, boxes.centres, boxes.sizes, boxes.angles(), strict=True)
    ]
    return {"folder": "", "filename": cloud, "path": cloud, "objects": objects}


def write_classes(names: Sequence[str]) -> dict[str, Any]:
    """The contents of `_classes.json`, with which labelCloud knows the classes and the format."""
    colours = ("#ff4b3e", "#3fd0ff", "#ffd23f", "#7ee081", "#c77dff", "#ff9f1c", "#4d96ff", "#f15bb5")
    listed = [{"name": name, "id": k, "color": colours[k % len(colours)]} for k, name in enumerate(names)]
    return {"classes": listed, "default": 0, "type": "object_detection", "format": "centroid_rel"}
