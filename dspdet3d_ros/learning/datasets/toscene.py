"""TO-SCENE as it is downloaded, to TO-SCENE-down."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from dspdet3d_ros.clouds.arrays import Layout, read_arrays
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.classes import TOSCENE_FURNITURE, toscene_down
from dspdet3d_ros.learning.datasets.writing import DatasetScan

#: Label ids of the source, in the order of the classes.
SOURCE_IDS = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39, *range(41, 91), 92, 93)

#: No object in a room is larger.
LARGEST_M = 1000.0

_AGAIN = "download the scan again, or leave it out"
_LAYOUTS: dict[str, Layout] = {
    "xyz": ("fiu", (None, 3)),
    "color": ("fiu", (None, 3)),
    "instance_label": ("fiu", (None,)),
    "semantic_label": ("fiu", (None,)),
    "bbox": ("fiu", (None, 7)),
}


def most_points(size: np.ndarray) -> int:
    """The most points that a small object of that size keeps.

    As published: n / 3700 · 1200 points a square metre of its largest face, with n = 6000 above 10 litres, else 9000.

    Args:
        size: (3,) metres.
    """
    dx, dy, dz = (float(edge) for edge in size)
    n = 6000 if dx * dy * dz > 0.01 else 9000
    return int(n / 3700 * 1200 * max(dx * dy, dx * dz, dy * dz))


def scan_files(folder: Path) -> dict[str, list[Path]]:
    """The scans of the folder by split: those in `train` and `val`, or else those in the folder itself, of no split.

    Raises:
        InputError: there are none.
    """
    found = {split: sorted((folder / split).glob("*.npz")) for split in ("train", "val")}
    found = {split: files for split, files in found.items() if files} or {"": sorted(folder.glob("*.npz"))}
    if not any(found.values()):
        raise InputError(
            f"{folder}: no scans; expected .npz files, in train/ and val/ or in the folder itself; check the path"
        )
    return found


def read_scan(path: Path, seed: int) -> DatasetScan:
    """A scan with the points of its small objects thinned.

    Args:
        path: .npz with `xyz`, `color`, `instance_label`, `semantic_label`, `bbox`. The boxes are in the order of the
            instance labels of the points whose semantic label is that of a class.
        seed: of the choice of points, which depends on the seed and the scan's name alone.

    Raises:
        InputError: the file is missing, damaged or does not fit, or a class id is out of range.
    """
    arrays = _arrays(path)
    boxes, source_ids = arrays["bbox"][:, :6].astype(np.float64), arrays["bbox"][:, 6]
    unknown = source_ids[~np.isin(source_ids, SOURCE_IDS)]
    if len(unknown):
        raise InputError(
            f"{path}: 'bbox': class id {unknown[0]:g} is out of range: expected one of the 70 of TO-SCENE; {_AGAIN}"
        )
    if not np.isfinite(boxes).all() or (boxes[:, 3:] < 0).any() or (boxes[:, 3:] > LARGEST_M).any():
        raise InputError(
            f"{path}: 'bbox' holds values that are not finite, or sizes not in 0..{LARGEST_M:g} m; {_AGAIN}"
        )
    ids = np.array([SOURCE_IDS.index(int(number)) for number in source_ids], np.int64)
    keep = _kept(path, arrays, boxes, ids, np.random.default_rng([seed, zlib.crc32(path.stem.encode())]))
    points = np.column_stack([arrays["xyz"], arrays["color"]])[keep].astype(np.float32)
    classes = toscene_down().classes
    return DatasetScan(
        name=path.stem,
        points=points,
        instance=arrays["instance_label"][keep].astype(np.int64),
        semantic=arrays["semantic_label"][keep].astype(np.int64),
        align=np.eye(4),
        boxes=boxes,
        unaligned_boxes=boxes,
        ids=ids,
        names=tuple(classes[class_id] for class_id in ids),
    )


def _kept(
    path: Path, arrays: dict[str, np.ndarray], boxes: np.ndarray, ids: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(N,) which points stay."""
    keep = np.ones(len(arrays["xyz"]), bool)
    labelled = np.isin(arrays["semantic_label"], SOURCE_IDS)
    instances = np.unique(arrays["instance_label"][labelled])
    if len(instances) > len(boxes):
        raise InputError(f"{path}: has {len(instances)} labelled instances, but only {len(boxes)} boxes; {_AGAIN}")
    box = -1
    for instance in instances:
        rows = np.flatnonzero(labelled & (arrays["instance_label"] == instance))
        box = _next_of_class(_class_id(arrays["semantic_label"][rows]), ids, box + 1)
        if box < 0:
            raise InputError(f"{path}: 'bbox' has no box left that is of the class of instance {instance:g}; {_AGAIN}")
        most = most_points(boxes[box, 3:])
        if ids[box] >= TOSCENE_FURNITURE and len(rows) > most:
            keep[rng.choice(rows, len(rows) - most, replace=False)] = False
    return keep


def _class_id(labels: np.ndarray) -> int:
    """The class that most of an instance's labels are of."""
    values, counts = np.unique(labels, return_counts=True)
    return SOURCE_IDS.index(int(values[counts.argmax()]))


def _next_of_class(class_id: int, ids: np.ndarray, start: int) -> int:
    """The first box from `start` on that is of the class, -1 where there is none: a box without points has no instance.

    Args:
        class_id: of the instance.
        ids: (K,) class ids of the boxes.
        start: the box after that of the instance before.
    """
    return next((box for box in range(start, len(ids)) if ids[box] == class_id), -1)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    arrays = read_arrays(path, _LAYOUTS, "a scan of TO-SCENE")
    for key, array in arrays.items():
        if key != "bbox" and len(array) != len(arrays["xyz"]):
            count = len(arrays["xyz"])
            raise InputError(f"{path}: '{key}' has {len(array)} rows, but there are {count} points; {_AGAIN}")
    if not arrays["xyz"].size or not np.isfinite(arrays["xyz"]).all():
        raise InputError(f"{path}: 'xyz': expected at least one point, all finite; {_AGAIN}")
    return arrays
