"""Data sets in the indoor format of mmdet3d: points in `.bin` files, boxes in a pickle of infos (1.0 and 1.1)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.defaults import BIN_COLUMNS
from dspdet3d_ros.errors import InputError, no_such_file, text_of
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene, SceneSet
from dspdet3d_ros.learning.datasets.labels import Labels, named, statement
from dspdet3d_ros.learning.datasets.plain_pickle import read_plain_pickle

POINTS_FOLDER = "points"
_AGAIN = "make the info file again"
_NAME_ANOTHER = "name another info file"


@dataclass(frozen=True)
class SceneInfo:
    """One entry of an info file.

    Attributes:
        name: of the scene.
        points: file of float32 x y z r g b, in the scanner's frame.
        align: (4, 4) that turns those points into the frame of the boxes.
        boxes: (K, 6) float32 centre and size, metres, axis aligned.
        labels: class ids and names of the boxes, as far as the file gives them.
    """

    name: str
    points: Path
    align: np.ndarray
    boxes: np.ndarray
    labels: Labels

    def read(self) -> LabelledScene:
        """The scene, aligned."""
        xyz = read_cloud(self.points).xyz @ self.align[:3, :3].T + self.align[:3, 3]
        return LabelledScene(self.name, "all", xyz.astype(np.float32), self.boxes, self.labels.names or ())


def open_infos(path: Path, classes: Sequence[str] | None = None) -> SceneSet:
    """The scenes of an info file; their points lie in its folder or in `points/`.

    Boxes of seven numbers are turned about the vertical: what is given is the axis-aligned box that encloses them.

    Args:
        path: the pickle of infos.
        classes: what class ids stand for if the file names neither classes nor a data set.

    Raises:
        InputError: the file or a points file is missing, an entry lacks something or does not fit, a class id is out of
            range or does not fit the object's name.
    """
    contents = read_plain_pickle(path)
    metainfo, entries = ({}, contents) if isinstance(contents, list) else _data_list(contents, path)
    infos = []
    for number, entry in enumerate(entries):
        where = f"{path}: scene {number}"
        infos.append(_info(path, where, _mapping(entry, where)))
    known, labels = named(path, [(info.name, info.labels) for info in infos], statement(path, metainfo), classes)
    infos = [replace(info, labels=own) for info, own in zip(infos, labels, strict=True)]
    return SceneSet(tuple(info.read for info in infos), {"small": known.small} if known and known.small else {})


def _data_list(contents: Any, path: Path) -> tuple[Mapping[str, Any], list]:
    if isinstance(contents, dict) and isinstance(contents.get("data_list"), list):
        metainfo = contents.get("metainfo")
        return metainfo if isinstance(metainfo, dict) else {}, contents["data_list"]
    raise InputError(
        f"{path}: expected a list of infos, or a mapping with 'data_list', "
        f"got {type(contents).__name__}; {_NAME_ANOTHER}"
    )


def _info(path: Path, where: str, entry: Mapping[str, Any]) -> SceneInfo:
    try:
        return _current(path, where, entry) if "lidar_points" in entry else _published(path, where, entry)
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError, OSError) as error:
        # An array where a number should be, a number of thousands of digits, a name longer than any file's.
        raise InputError(f"{where}: not an entry of mmdet3d's indoor format: {text_of(error)}; {_AGAIN}") from error


def _published(path: Path, where: str, entry: Mapping[str, Any]) -> SceneInfo:
    """An entry as mmdet3d 1.0 has it, and the published data sets."""
    cloud = _mapping(entry.get("point_cloud", {}), f"{where}: 'point_cloud'")
    _check_columns(cloud.get("num_features", BIN_COLUMNS), where)
    points = _points_file(path, entry.get("pts_path"), f"{where}: 'pts_path'")
    name = str(cloud.get("lidar_idx", points.stem))
    where = f"{path}: scene {name}"
    if "annos" not in entry:
        raise InputError(f"{where}: has no 'annos'; expected labelled scenes, not a test split; {_NAME_ANOTHER}")
    annos = _mapping(entry["annos"], f"{where}: 'annos'")
    boxes = _boxes(annos.get("gt_boxes_upright_depth", ()), where)
    ids = _ids(annos.get("class", ()), where)
    names = _names(annos["name"], where) if "name" in annos else None
    count = annos.get("gt_num", len(boxes))
    for key, found in (("gt_boxes_upright_depth", boxes), ("class", ids), ("name", names)):
        if found is not None and len(found) != count and (count or len(found)):
            raise InputError(f"{where}: '{key}' has {len(found)} entries, expected {count} ('gt_num'); {_AGAIN}")
    return SceneInfo(name, points, _matrix(annos.get("axis_align_matrix"), where), boxes, Labels(ids, names))


def _current(path: Path, where: str, entry: Mapping[str, Any]) -> SceneInfo:
    """An entry as mmdet3d 1.1 has it."""
    cloud = _mapping(entry["lidar_points"], f"{where}: 'lidar_points'")
    _check_columns(cloud.get("num_pts_feats", BIN_COLUMNS), where)
    points = _points_file(path, cloud.get("lidar_path"), f"{where}: 'lidar_path'")
    where = f"{path}: scene {points.stem}"
    instances = entry.get("instances")
    if not isinstance(instances, list) or not all(isinstance(instance, dict) for instance in instances):
        raise InputError(f"{where}: expected a list of mappings 'instances', not a test split; {_NAME_ANOTHER}")
    # The format marks objects of other classes than the data set's with the label -1.
    instances = [instance for instance in instances if instance.get("bbox_label_3d") != -1]
    for instance in instances:
        for key in ("bbox_3d", "bbox_label_3d"):
            if key not in instance:
                raise InputError(f"{where}: an instance has no '{key}'; {_AGAIN}")
    boxes = _boxes([instance["bbox_3d"] for instance in instances], where)
    ids = _ids([instance["bbox_label_3d"] for instance in instances], where)
    return SceneInfo(points.stem, points, _matrix(entry.get("axis_align_matrix"), where), boxes, Labels(ids, None))


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{what}: expected a mapping, got {type(value).__name__}; {_AGAIN}")
    return value


def _check_columns(columns: Any, where: str) -> None:
    if columns != BIN_COLUMNS:
        raise InputError(f"{where}: points have {columns} columns, expected {BIN_COLUMNS}: x y z r g b; {_AGAIN}")


def _points_file(path: Path, name: Any, what: str) -> Path:
    if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(
            f"{what}: expected the path of a points file inside the folder, got {str(name)[:100]!r}; put it there"
        )
    candidates = (path.parent / name, path.parent / POINTS_FOLDER / name)
    found = next((candidate for candidate in candidates if os.path.isfile(candidate)), None)
    if found is None:
        raise no_such_file(candidates[0], what)
    return found


def _numbers(values: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what}: expected numbers; {_AGAIN}") from None


def _boxes(values: Any, where: str) -> np.ndarray:
    boxes = _numbers(values, f"{where}: boxes")
    if not boxes.size:
        return np.empty((0, 6), np.float32)
    if boxes.ndim != 2 or boxes.shape[1] not in (6, 7):
        raise InputError(f"{where}: boxes have shape {boxes.shape}, expected (K, 6) or, with a turn, (K, 7); {_AGAIN}")
    if not np.isfinite(boxes).all() or (boxes[:, 3:6] < 0).any():
        raise InputError(f"{where}: boxes hold values that are not finite or sizes below zero; {_AGAIN}")
    return enclosing_boxes(boxes).astype(np.float32)


def enclosing_boxes(boxes: np.ndarray) -> np.ndarray:
    """The axis-aligned boxes that enclose boxes turned about the vertical.

    Args:
        boxes: (K, 6) centre and size, or (K, 7) with the angle, radians; its sense of turning makes no difference.

    Returns:
        (K, 6).
    """
    if boxes.shape[1] == 6:
        return boxes
    c, s = np.abs(np.cos(boxes[:, 6])), np.abs(np.sin(boxes[:, 6]))
    dx, dy, dz = boxes[:, 3:6].T
    return np.column_stack([boxes[:, :3], c * dx + s * dy, s * dx + c * dy, dz])


def _ids(values: Any, where: str) -> np.ndarray:
    ids = np.asarray(values)
    if not ids.size:
        return np.empty(0, np.int64)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise InputError(
            f"{where}: class ids have shape {ids.shape} and type {ids.dtype}, expected (K,) integers; {_AGAIN}"
        )
    return ids.astype(np.int64)


def _names(values: Any, where: str) -> tuple[str, ...]:
    values = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(values, (list, tuple)) or not all(isinstance(name, str) for name in values):
        raise InputError(f"{where}: 'name': expected a list of class names; {_AGAIN}")
    return tuple(values)


def _matrix(values: Any, where: str) -> np.ndarray:
    if values is None:
        return np.eye(4)
    matrix = _numbers(values, f"{where}: 'axis_align_matrix'")
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise InputError(
            f"{where}: 'axis_align_matrix': expected 4 rows of 4 finite numbers, the last 0 0 0 1; {_AGAIN}"
        )
    return matrix
