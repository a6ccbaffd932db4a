"""ScanNet as it is downloaded, to ScanNet-md40."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.errors import InputError, no_such_file, text_of
from dspdet3d_ros.geometry import box_around
from dspdet3d_ros.learning.datasets.classes import scannet_md40
from dspdet3d_ros.learning.datasets.writing import DatasetScan

#: Class ids of points begin with these; then come the 22 classes, then everything else.
_SURFACES = ("wall", "floor")
_LABEL_FROM, _LABEL_TO = "raw_category", "ModelNet40"
_AGAIN = "download it again"


def read_label_map(path: Path) -> dict[str, str]:
    """From ScanNet's own labels to the names of ModelNet40, after which ScanNet-md40 is called.

    Args:
        path: `scannetv2-labels.combined.tsv`.

    Raises:
        InputError: the file cannot be read or lacks one of the two columns.
    """
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a table of labels: {text_of(error)}; {_AGAIN}") from error
    for column in (_LABEL_FROM, _LABEL_TO):
        if not rows or column not in rows[0]:
            columns = f"{_LABEL_FROM} and {_LABEL_TO}"
            raise InputError(f"{path}: expected a tab-separated table with the columns {columns}; {_AGAIN}")
    return {row[_LABEL_FROM]: row[_LABEL_TO] or "" for row in rows}


def scan_names(folder: Path, listed: Path | None = None) -> list[str]:
    """The scans of a folder, or those of them that a file lists line by line.

    Raises:
        InputError: there are none, or a listed one is absent.
    """
    if listed is None:
        names = sorted(path.parent.name for path in folder.glob("*/*.aggregation.json"))
        names = list(dict.fromkeys(names))
    else:
        try:
            names = listed.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{listed}: cannot be read as a list of scans: {text_of(error)}; name a text file"
            ) from error
    absent = [name for name in names if Path(name).name != name or not os.path.isdir(folder / name)]
    if absent:
        raise InputError(f"{folder}: has no folder of the scan {absent[0]}; download it, or take it off the list")
    if not names:
        raise InputError(f"{listed or folder}: no scans; name the folder that holds scene*/ with *.aggregation.json")
    return names


def read_scan(folder: Path, label_of: dict[str, str]) -> DatasetScan:
    """A scan from its folder `scene0000_00/`, which holds files that begin with the same name.

    Vertices of an object are those of its segments; its box spans them after axis alignment.

    Args:
        folder: of the scan.
        label_of: see `read_label_map`.

    Raises:
        InputError: a file is missing or damaged, or the files do not fit together.
    """
    name = folder.name
    cloud = read_cloud(folder / f"{name}_vh_clean_2.ply")
    segments_path = folder / f"{name}_vh_clean_2.0.010000.segs.json"
    segments = _json(segments_path, lambda data: np.array(data["segIndices"], np.int64))
    if segments.shape != (len(cloud.xyz),):
        raise InputError(
            f"{segments_path}: has {segments.size} entries, but the mesh has {len(cloud.xyz)} vertices; {_AGAIN}"
        )
    groups_path = folder / f"{name}.aggregation.json"
    groups = _json(groups_path, _groups)
    align = _alignment(folder / f"{name}.txt")
    aligned = cloud.xyz @ align[:3, :3].T + align[:3, 3]

    classes = scannet_md40().classes
    own_ids = {label: number for number, label in enumerate((*_SURFACES, *classes))}
    instance, semantic = np.zeros(len(segments), np.int64), np.zeros(len(segments), np.int64)
    objects = []
    for number, label, parts in groups:
        if label not in label_of:
            raise InputError(f"{groups_path}: the label {label!r} is not in the label map; add it there")
        own_id = own_ids.get(label_of[label], len(own_ids))
        of_object = np.isin(segments, parts)
        instance[of_object], semantic[of_object] = number + 1, own_id
        if label_of[label] in classes:
            objects.append((number + 1, own_id - len(_SURFACES)))
    # A segment that is in two groups belongs to the later one.
    objects = [(number, class_id) for number, class_id in objects if (instance == number).any()]
    ids = np.array([class_id for _, class_id in objects], np.int64)
    rgb = np.zeros_like(cloud.xyz) if cloud.rgb is None else cloud.rgb
    return DatasetScan(
        name=name,
        points=np.column_stack([cloud.xyz, rgb]).astype(np.float32),
        instance=instance,
        semantic=semantic,
        align=align,
        boxes=_boxes(aligned, instance, [number for number, _ in objects]),
        unaligned_boxes=_boxes(cloud.xyz, instance, [number for number, _ in objects]),
        ids=ids,
        names=tuple(classes[class_id] for class_id in ids),
    )


def _groups(data: Any) -> list[tuple[int, str, list[int]]]:
    return [
        (int(np.int32(group["objectId"])), str(group["label"]), [int(np.int64(n)) for n in group["segments"]])
        for group in data["segGroups"]
    ]


def _json(path: Path, use: Callable[[Any], Any]) -> Any:
    try:
        return use(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise no_such_file(path) from None
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        reason = f"{type(error).__name__} {text_of(error)}"
        raise InputError(f"{path}: damaged, or not a file of ScanNet: {reason}; {_AGAIN}") from error


def _alignment(path: Path) -> np.ndarray:
    """(4, 4) of the line `axisAlignment = 16 numbers`; scans without it are aligned already."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {text_of(error)}; {_AGAIN}") from error
    line = next((line for line in lines if line.strip().startswith("axisAlignment")), None)
    if line is None:
        return np.eye(4)
    try:
        matrix = np.array(line.partition("=")[2].split(), np.float64).reshape(4, 4)
    except ValueError:
        raise InputError(f"{path}: axisAlignment: expected 16 numbers; {_AGAIN}") from None
    if not np.isfinite(matrix).all():
        raise InputError(f"{path}: axisAlignment: expected 16 finite numbers; {_AGAIN}")
    return matrix


def _boxes(xyz: np.ndarray, instance: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """(K, 6) extents of the points of each object."""
    boxes = np.zeros((len(numbers), 6))
    for row, number in enumerate(numbers):
        boxes[row] = box_around(xyz[instance == number].astype(np.float64))
    return boxes
