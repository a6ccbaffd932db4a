"""Data sets written in the indoor format of mmdet3d 1.0."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.errors import InputError, unwritable
from dspdet3d_ros.learning.datasets.infos import POINTS_FOLDER


@dataclass(frozen=True)
class DatasetScan:
    """A labelled scan as it is written.

    Attributes:
        name: of the scan.
        points: (N, 6) float32 x y z in metres, in the scanner's frame, and r g b 0..255.
        instance: (N,) int64, object number of each point, 0 for none.
        semantic: (N,) int64, the source's own class id of each point.
        align: (4, 4) that turns the points into the frame of the boxes.
        boxes: (K, 6) centre and size in metres, axis aligned.
        unaligned_boxes: (K, 6) the same objects in the frame of the points.
        ids: (K,) class ids.
        names: K class names.
    """

    name: str
    points: np.ndarray
    instance: np.ndarray
    semantic: np.ndarray
    align: np.ndarray
    boxes: np.ndarray
    unaligned_boxes: np.ndarray
    ids: np.ndarray
    names: tuple[str, ...]


def write_dataset(folder: Path, prefix: str, splits: Mapping[str, Iterable[DatasetScan]]) -> dict[str, int]:
    """Writes points, masks and an info file a split; the folder appears whole or not at all.

    Args:
        folder: to be made; may exist if it is empty.
        prefix: of the info files: `{prefix}_infos_{split}.pkl`.
        splits: scans by split; a split "" gives `{prefix}_infos.pkl`.

    Returns:
        The number of scans of each split.

    Raises:
        InputError: the folder holds something already or cannot be written.
    """
    counts = {}
    with whole_folder(folder) as part:
        for kind in (POINTS_FOLDER, "instance_mask", "semantic_mask"):
            (part / kind).mkdir()
        for split, scans in splits.items():
            infos = [_write_scan(part, scan) for scan in scans]
            (part / f"{prefix}_infos{'_' if split else ''}{split}.pkl").write_bytes(pickle.dumps(infos, 4))
            counts[split] = len(infos)
    return counts


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder next to `folder`. It replaces `folder` on success and is removed on failure."""
    folder = Path(os.path.abspath(folder))
    if os.path.exists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder}: exists and is not an empty folder; name a new one")
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        part.mkdir(parents=True)
        try:
            yield part
            os.replace(part, folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def _write_scan(folder: Path, scan: DatasetScan) -> dict[str, Any]:
    paths = {}
    for kind, array in (
        (POINTS_FOLDER, scan.points),
        ("instance_mask", scan.instance),
        ("semantic_mask", scan.semantic),
    ):
        paths[kind] = f"{kind}/{scan.name}.bin"
        array.tofile(folder / paths[kind])
    annos: dict[str, Any] = {"gt_num": len(scan.boxes), "axis_align_matrix": scan.align}
    if len(scan.boxes):
        annos |= {
            "name": np.array(scan.names),
            "location": scan.boxes[:, :3],
            "dimensions": scan.boxes[:, 3:],
            "gt_boxes_upright_depth": scan.boxes,
            "unaligned_location": scan.unaligned_boxes[:, :3],
            "unaligned_dimensions": scan.unaligned_boxes[:, 3:],
            "unaligned_gt_boxes_upright_depth": scan.unaligned_boxes,
            "index": np.arange(len(scan.boxes), dtype=np.int32),
            "class": scan.ids,
        }
    return {
        "point_cloud": {"num_features": scan.points.shape[1], "lidar_idx": scan.name},
        "pts_path": paths[POINTS_FOLDER],
        "pts_instance_mask_path": paths["instance_mask"],
        "pts_semantic_mask_path": paths["semantic_mask"],
        "annos": annos,
    }
