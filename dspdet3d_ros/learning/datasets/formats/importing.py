"""Labels of annotation tools, converted into a folder of labelled clouds (`boxes.json`)."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.clouds.upright import to_upright, upright
from dspdet3d_ros.errors import InputError, no_such_file
from dspdet3d_ros.geometry import box_around
from dspdet3d_ros.learning.datasets.folders import INDEX
from dspdet3d_ros.learning.datasets.formats.annotation import Annotation
from dspdet3d_ros.learning.datasets.formats.cloud_index import CloudIndex
from dspdet3d_ros.learning.datasets.formats.label_files import LabelFiles
from dspdet3d_ros.learning.datasets.writing import whole_folder


@dataclass(frozen=True)
class FileFrame:
    """Settings for reading cloud files.

    Attributes:
        columns: see `read_cloud`.
        up, unit: see `upright`. The labels are converted with the clouds.
    """

    columns: int | None = None
    up: str = "z"
    unit: str = "m"


@dataclass(frozen=True)
class Imported:
    """Report of an import.

    Attributes:
        clouds: number of clouds.
        objects: number of objects of each class.
        turned: number of boxes that are not parallel to the axes.
        unlabelled: names of clouds without labels.
        not_labels: names of .json and .txt files that are no labels.
        untransformed: number of KITTI files without calibration.
    """

    clouds: int
    objects: Counter[str]
    turned: int
    unlabelled: tuple[str, ...]
    not_labels: tuple[str, ...]
    untransformed: int


def import_labels(
    source: Path,
    out: Path,
    clouds: Path | None = None,
    frame: FileFrame = FileFrame(),
    angles: str | None = None,
    renamed: Mapping[str, str | None] | None = None,
) -> Imported:
    """Converts all label files of a folder and its sub-folders.

    Args:
        source: the folder.
        out: folder to create: `boxes.json`, and an .npz for each cloud, in metres with z up.
        clouds: folder of the clouds, with sub-folders; `source` if not given.
        frame: how the clouds are to be read.
        angles: unit of labelCloud's angles; see `labelcloud.unit_of_angles`.
        renamed: class names by those in the labels; objects of None are left out.

    Raises:
        InputError: a label file or its cloud is missing or wrong, there are no labels, or `out` cannot be written.
    """
    for folder in (source, clouds or source):
        if not os.path.isdir(folder):
            raise InputError(f"{folder}: no such folder; name one with labels and clouds")
    found = LabelFiles(source, angles)
    index = CloudIndex(clouds or source, found.paths)
    entries: list[dict[str, Any]] = []
    objects: Counter[str] = Counter()
    turned = 0
    with whole_folder(out) as part:
        for annotation, cloud in _with_clouds(found.annotations, index):
            name = _free_name(cloud, index.folder, {entry["scene"] for entry in entries})
            items = _write(part / f"{name}.npz", annotation, cloud, frame, renamed or {})
            objects.update(item["name"] for item in items)
            turned += sum("turned" in item for item in items)
            entries.append({"scene": name, "objects": items})
        entries.sort(key=lambda entry: entry["scene"])
        (part / INDEX).write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    return Imported(len(entries), objects, turned, index.unused(), found.not_labels, found.untransformed)


def _with_clouds(annotations: Sequence[Annotation], index: CloudIndex) -> Iterator[tuple[Annotation, Path]]:
    """Each annotation with its cloud; of several that number the points, the one that fits."""
    from tqdm import tqdm

    by_label: dict[Path, list[Annotation]] = {}
    for annotation in annotations:
        by_label.setdefault(annotation.path, []).append(annotation)
    for path, group in tqdm(by_label.items(), desc="labels", unit="file", disable=None):
        if group[0].instances is None:
            yield from ((annotation, index.find(annotation)) for annotation in group)
            continue
        # Each file of segments belongs to a mesh of its own resolution; some are not there.
        fitting, error = [], None
        for annotation in group:
            try:
                cloud = index.find(annotation)
            except InputError as failed:
                error = failed
                continue
            fitting.append((annotation, cloud))
        if not fitting:
            raise error or no_such_file(path)
        yield fitting[0]


def _free_name(cloud: Path, folder: Path, taken: set[str]) -> str:
    """A name for a scene: that of the cloud, with its folders if it is taken, and a number at last."""
    long = "_".join(cloud.relative_to(folder).with_suffix("").parts)
    names = [cloud.stem, long, *(f"{long}_{k}" for k in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _write(
    path: Path, annotation: Annotation, source: Path, frame: FileFrame, renamed: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    """Writes a cloud; its objects as they are in the index."""
    cloud = upright(read_cloud(source, frame.columns), frame.up, frame.unit)
    arrays: dict[str, Any] = {"xyz": cloud.xyz, **({} if cloud.rgb is None else {"rgb": cloud.rgb})}
    if annotation.boxes is not None:
        items = _boxes(annotation, to_upright(frame.up, frame.unit))
    else:
        items, arrays["inst"] = _numbered(annotation, source, cloud.xyz)
    np.savez(path, **arrays)
    kept = [{**item, "name": renamed.get(item["name"], item["name"])} for item in items]
    return [item for item in kept if item["name"] is not None]


def _boxes(annotation: Annotation, matrix: np.ndarray) -> list[dict[str, Any]]:
    assert annotation.boxes is not None
    boxes = annotation.boxes.moved(matrix)
    turned, standing = boxes.turned()
    items: list[dict[str, Any]] = []
    for k, (name, hull) in enumerate(zip(boxes.names, boxes.hulls(), strict=True)):
        item: dict[str, Any] = {"name": name, "box": _rounded(hull)}
        # A hundredth of a degree is none.
        if standing[k] and abs(turned[k, 6]) > 2e-4:
            item["turned"] = _rounded(turned[k])
        items.append(item)
    return items


def _numbered(annotation: Annotation, source: Path, xyz: np.ndarray) -> tuple[list[dict[str, Any]], np.ndarray]:
    numbers, names = annotation.instances, annotation.names or {}
    assert numbers is not None
    if len(numbers) != len(xyz):
        raise InputError(
            f"{annotation.path}: numbers {len(numbers)} points, but {source} has {len(xyz)}; copy the cloud that was "
            "labelled"
        )
    items = [
        {"name": name, "box": _rounded(box_around(xyz[numbers == number].astype(np.float64))), "inst": number}
        for number, name in names.items()
        if (numbers == number).any()
    ]
    return items, numbers.astype(np.int32)


def _rounded(values: np.ndarray) -> list[float]:
    """A hundredth of a millimetre is far below any label."""
    return [round(float(value), 5) for value in values]
