"""Cuboids of Supervisely (point cloud projects) and of CVAT (Datumaro 3D; CVAT also exports Supervisely's format)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.formats.annotation import Annotation, entries, numbers, sizes, text
from dspdet3d_ros.learning.datasets.formats.oriented import OrientedBoxes, rotation

_AXES = ("x", "y", "z")
_CUBOID = "cuboid_3d"


def is_supervisely(contents: Any) -> bool:
    """True for the contents of an annotation file."""
    return isinstance(contents, dict) and "objects" in contents and ("figures" in contents or "frames" in contents)


def read_supervisely(path: Path, contents: Any) -> Annotation:
    """The cuboids of `ann/NAME.pcd.json`; other figures are left out.

    Raises:
        InputError: a value is missing or wrong; the text names the figure, not the file.
    """
    if "figures" not in contents:
        raise InputError("is an annotation of an episode; export the project as separate point clouds")
    classes: dict[Any, str] = {}
    for k, item in enumerate(entries(contents["objects"], "objects")):
        for name in ("key", "id"):
            if isinstance(item.get(name), (str, int)):
                classes[item[name]] = text(item.get("classTitle"), f"object {k}, classTitle")
    rows = []
    for k, figure in enumerate(entries(contents["figures"], "figures")):
        if figure.get("geometryType") != _CUBOID:
            continue
        what, geometry = f"figure {k}", figure.get("geometry")
        keys = [figure.get(name) for name in ("objectKey", "objectId")]
        title = next((classes[key] for key in keys if isinstance(key, (str, int)) and key in classes), None)
        if title is None or not isinstance(geometry, dict):
            raise InputError(f"{what}: expected the key of an object and a geometry; export the labels again")
        centre, turns, size = (
            numbers(geometry.get(key), f"{what}, {key}", _AXES) for key in ("position", "rotation", "dimensions")
        )
        rows.append((title, centre, rotation(*turns), sizes(size, what)))
    # NAME.pcd.json belongs to NAME.pcd.
    return Annotation(path, (path.stem,), OrientedBoxes.of(rows))


def is_datumaro(contents: Any) -> bool:
    """True for the contents of an annotation file of Datumaro."""
    return isinstance(contents, dict) and isinstance(contents.get("items"), list) and "categories" in contents


def read_datumaro(path: Path, contents: Any) -> list[Annotation]:
    """The cuboids of all items of `annotations/NAME.json`; other annotations are left out.

    Raises:
        InputError: a value is missing or wrong; the text names the item, not the file.
    """
    categories = contents["categories"]
    label = categories.get("label") if isinstance(categories, dict) else None
    labels = entries(label.get("labels") if isinstance(label, dict) else None, "categories, label, labels")
    names = [text(entry.get("name"), f"label {k}") for k, entry in enumerate(labels)]
    found = []
    for item in entries(contents["items"], "items"):
        identity = item.get("id")
        if not isinstance(identity, str) or not identity:
            raise InputError(f"item {str(identity)[:40]!r}: expected a text as id; export the labels again")
        rows = []
        for k, cuboid in enumerate(entries(item.get("annotations"), f"item {identity!r}, annotations")):
            if cuboid.get("type") != _CUBOID:
                continue
            what, number = f"item {identity!r}, annotation {k}", cuboid.get("label_id")
            if type(number) is not int or not 0 <= number < len(names):
                raise InputError(f"{what}: expected a label_id of 0 to {len(names) - 1}; export the labels again")
            centre, turns, size = (
                numbers(cuboid.get(key), f"{what}, {key}") for key in ("position", "rotation", "scale")
            )
            rows.append((names[number], centre, rotation(*turns), sizes(size, what)))
        media: dict[str, Any] = next(
            (item[key] for key in ("point_cloud", "media") if isinstance(item.get(key), dict)), {}
        )
        named = Path(media["path"]).name if isinstance(media.get("path"), str) else ""
        clouds = tuple(name for name in (named, Path(identity).name) if name)
        found.append(Annotation(path, clouds, OrientedBoxes.of(rows)))
    return found
