"""Ground-truth boxes of a labelled cloud in an .npz."""

from typing import Any

import numpy as np

from dspdet3d_ros.clouds.cloud import ANY_CLASS, LabelledBoxes, coordinates, usable
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.geometry import box_around

NAME_KEYS = ("names", "labels")
BACKGROUND = 0


def read_truth(archive: Any, xyz: np.ndarray) -> LabelledBoxes | None:
    """The boxes `boxes`, or else the extents of the objects that `inst` numbers; None without either.

    Args:
        archive: an open .npz.
        xyz: (N, 3) points of it, metres.

    Raises:
        InputError: an array does not fit; the text names it, not the file.
    """
    if "boxes" in archive:
        key = next((key for key in NAME_KEYS if key in archive), None)
        return _labelled(np.asarray(archive["boxes"]), archive[key] if key else None)
    if "inst" in archive:
        inst = archive["inst"]
        if inst.size != len(xyz):
            raise InputError(f"'inst' has shape {inst.shape}, but there are {len(xyz)} points; save a number for each")
        return _extents(xyz, inst.reshape(-1))
    return None


def _labelled(boxes: np.ndarray, names: np.ndarray | None) -> LabelledBoxes:
    if boxes.size == 0:
        return LabelledBoxes(np.empty((0, 6)), ())
    if boxes.ndim != 2 or boxes.shape[1] != 6 or boxes.dtype.kind not in "fiu":
        raise InputError(f"'boxes' has shape {boxes.shape}; save (K, 6): axis-aligned centre and size in metres")
    boxes = boxes.astype(np.float64)
    if not np.isfinite(boxes).all() or (boxes[:, 3:] <= 0).any():
        raise InputError(
            "'boxes' has values that are not finite or sizes that are not positive; correct them, or save none"
        )
    if names is None or names.dtype.kind not in "US":
        return LabelledBoxes(boxes, (ANY_CLASS,) * len(boxes))
    if names.shape != (len(boxes),):
        raise InputError(f"there are {len(boxes)} boxes, but names of shape {names.shape}; save one for each box")
    texts = names.astype(str)
    return LabelledBoxes(boxes, tuple(str(name) for name in texts))


def _extents(xyz: np.ndarray, instances: np.ndarray) -> LabelledBoxes:
    """Visible extents of the objects whose points are numbered, of those that have usable points."""
    xyz = coordinates(xyz)
    rows = usable(xyz) & (instances != BACKGROUND)
    xyz, instances = xyz[rows], instances[rows]
    extents = [box_around(xyz[instances == instance]) for instance in np.unique(instances)]
    boxes = np.array(extents, np.float64).reshape(-1, 6)
    return LabelledBoxes(boxes, (ANY_CLASS,) * len(boxes))
