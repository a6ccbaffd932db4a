"""Generated scenes in files: one compressed npz each, with the keys that `save_scene` names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.arrays import Layout, read_arrays
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.labelled_scene import LabelledScene
from dspdet3d_ros.output_files import writing_whole

SCALE = 0.0005  # metres a unit: int16 then reaches 16 m, and half a millimetre is far below any sensor's noise
_AGAIN = "make the scene again with `dspdet3d generate`"
_LAYOUTS: dict[str, Layout] = {
    "xyz": ("iu", (None, 3)),
    "scale": ("f", ()),
    "rgb": ("u", (None, 3)),
    "inst": ("iu", (None,)),
    "boxes": ("f", (None, 6)),
    "full_boxes": ("f", (None, 6)),
    "names": ("U", (None,)),
    "kind": ("U", ()),
    "tags": ("U", (None,)),
}
#: Not in files of earlier versions.
_NEWER_LAYOUTS: dict[str, Layout] = {"extents": ("f", (None, None, 2)), "ignore": ("f", (None, 6))}


def save_scene(path: str | os.PathLike[str], scene: LabelledScene) -> None:
    """Write a scene as a compressed npz, whole or not at all.

    Keys: xyz (N, 3) int16, scale (metres a unit of xyz), rgb (N, 3) uint8, inst (N,) uint16, boxes and full_boxes
    (K, 6) float32, names (K,) unicode, kind unicode, tags unicode; extents (K, D, 2) float32 and ignore (R, 6) float32
    if the scene has them.

    Raises InputError if the scene reaches further than int16 can hold or lacks one of these, or the file cannot be
    written.
    """
    path = Path(path)
    if scene.rgb is None or scene.inst is None or scene.full_boxes is None:
        raise InputError(f"{path}: expected a scene with colours, instances and full boxes; generate it")
    units = np.rint(scene.xyz / SCALE)
    if len(units) and not (np.abs(units) < 32767).all():
        raise InputError(
            f"{path}: expected points within {32767 * SCALE:.1f} m of the origin, got {np.abs(scene.xyz).max():.1f} m; "
            "move the scene to the origin"
        )
    arrays: dict[str, Any] = {
        "xyz": units.astype(np.int16),
        "scale": np.float64(SCALE),
        "rgb": scene.rgb,
        "inst": scene.inst.astype(np.uint16),
        "boxes": scene.boxes,
        "full_boxes": scene.full_boxes,
        "names": np.array(scene.names, dtype=np.str_),
        "kind": np.str_(scene.kind),
        "tags": np.array(scene.tags, dtype=np.str_),
    }
    arrays |= {key: value for key in _NEWER_LAYOUTS if (value := getattr(scene, key)) is not None}
    with writing_whole(path) as part, open(part, "wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_scene(path: str | os.PathLike[str]) -> LabelledScene:
    """Read a scene that `save_scene` wrote.

    Raises InputError, naming the file and the fault, if it cannot be read, lacks a key, or its arrays do not fit.
    """
    path = Path(path)
    arrays = read_arrays(path, _LAYOUTS, "a generated scene", _NEWER_LAYOUTS)
    _check(path, arrays)
    kind, tags = str(arrays["kind"]), tuple(str(tag) for tag in arrays["tags"])
    return LabelledScene(
        name=path.stem,
        subset=subset_of(kind, tags),
        xyz=(arrays["xyz"] * float(arrays["scale"])).astype(np.float32),
        rgb=arrays["rgb"].astype(np.uint8),
        inst=arrays["inst"].astype(np.int32),
        exact=True,
        boxes=arrays["boxes"].astype(np.float32),
        full_boxes=arrays["full_boxes"].astype(np.float32),
        names=tuple(str(name) for name in arrays["names"]),
        kind=kind,
        tags=tags,
        extents=arrays["extents"].astype(np.float32) if "extents" in arrays else None,
        ignore=arrays["ignore"].astype(np.float32) if "ignore" in arrays else None,
    )


def subset_of(kind: str, tags: tuple[str, ...]) -> str:
    """The group that a generated scene belongs to: its kind and how it was set."""
    return f"{kind} {tags[0] if tags else 'all'}"


def _check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    count, objects = len(arrays["xyz"]), len(arrays["boxes"])
    lengths = {"rgb": count, "inst": count, "full_boxes": objects, "names": objects, "extents": objects}
    for key, expected in lengths.items():
        if key in arrays and len(arrays[key]) != expected:
            raise InputError(f"{path}: '{key}' has {len(arrays[key])} rows, expected {expected}; {_AGAIN}")
    if count and arrays["inst"].max() > objects:
        last = arrays["inst"].max()
        raise InputError(f"{path}: 'inst' names object {last}, but there are {objects} boxes; {_AGAIN}")
    extents = arrays.get("extents")
    if extents is not None and (extents.shape[1] < 2 or not np.isfinite(extents).all()):
        raise InputError(f"{path}: 'extents' needs at least two directions and finite values; {_AGAIN}")
    rows = [arrays[key] for key in ("boxes", "full_boxes", "ignore") if key in arrays]
    if not (all(np.isfinite(part).all() for part in rows) and arrays["scale"] > 0):
        raise InputError(
            f"{path}: 'boxes', 'full_boxes', 'ignore' or 'scale' hold values that are not finite or not positive; "
            f"{_AGAIN}"
        )
