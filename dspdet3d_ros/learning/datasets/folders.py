"""Detection of the format of a data folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.files import SUFFIXES, read_cloud
from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.learning.datasets.generated_classes import SMALL, THIN
from dspdet3d_ros.learning.datasets.infos import open_infos
from dspdet3d_ros.learning.datasets.labelled_scene import ANY_CLASS, LabelledScene, SceneSet
from dspdet3d_ros.learning.datasets.scene_files import load_scene

INDEX = "boxes.json"
SPLITS = ("train", "val", "test")


def check_there(path: Path) -> None:
    """Refuses a place that is not there, before a model is loaded to judge on it.

    Raises:
        InputError: it is not.
    """
    if not os.path.exists(path):
        raise _no_folder(path)


def _no_folder(path: Path) -> InputError:
    return InputError(f"{path}: no such folder; name one of labelled scenes, as `dspdet3d generate` makes")


def open_scenes(
    path: str | Path, split: str = "val", limit: int | None = None, classes: Sequence[str] | None = None
) -> SceneSet:
    """The labelled scenes of a folder, which may hold, looked for in this order:

    * `boxes.json` and clouds, of any kind that `read_cloud` reads, in the same folder;
    * info files (.pkl) of mmdet3d's indoor format: where there are several, the one of the split; or `path` is such a
      file itself;
    * .npz scenes that `dspdet3d generate` made.

    Args:
        path: the folder, or an info file.
        split: "train", "val" or "test", where the folder has several.
        limit: the most scenes that are read.
        classes: what class ids stand for in info files without class names.

    Raises:
        InputError: there is no such folder, it holds none of these, or they cannot be read.
    """
    path = Path(path)
    if path.suffix == ".pkl":
        scenes = open_infos(path, classes)
    elif not os.path.isdir(path):
        raise _no_folder(path)
    elif (path / INDEX).is_file():
        scenes = _open_index(path / INDEX)
    elif infos := sorted(path.glob("*.pkl")):
        scenes = open_infos(_info_file(path, infos, split), classes)
    else:
        scenes = _open_generated(path)
    return SceneSet(scenes.readers[:limit], scenes.groups)


def _info_file(folder: Path, files: Sequence[Path], split: str) -> Path:
    """The only file of the split, or the only file if it is of no split."""
    of_split = [file for file in files if split in file.stem.split("_")]
    of_none = [file for file in files if not set(SPLITS) & set(file.stem.split("_"))]
    for chosen in (of_split, of_none):
        if len(chosen) == 1:
            return chosen[0]
    names = ", ".join(file.name for file in files)
    raise InputError(f"{folder}: expected one info file of the split '{split}', found {names}; name the file itself")


def _open_generated(folder: Path) -> SceneSet:
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise InputError(
            f"{folder}: expected {INDEX} with clouds, info files (.pkl), or .npz scenes; "
            f"`dspdet3d generate {folder}` makes scenes"
        )
    return SceneSet(tuple(partial(load_scene, path) for path in files), {"small": SMALL, "thin": THIN})


def _open_index(path: Path) -> SceneSet:
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as json: {text_of(error)}; correct it, or copy it again") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: expected a list of scenes; docs/own_objects.md shows one")
    return SceneSet(tuple(partial(_read_indexed, path, entry) for entry in entries))


def _read_indexed(path: Path, entry: dict[str, Any]) -> LabelledScene:
    try:
        name = str(entry["scene"])
        boxes = np.array([item["box"] for item in entry["objects"]], np.float32).reshape(-1, 6)
        names = tuple(str(item.get("name", ANY_CLASS)) for item in entry["objects"])
        ignore = np.array([region["box"] for region in entry.get("ignore", ())], np.float32).reshape(-1, 6)
        table_z = None if entry.get("table_z") is None else float(entry["table_z"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path}: each scene needs 'scene' and 'objects', and each object and each region of 'ignore' a 'box' of 6 "
            f"numbers; one has not: {text_of(error)}"
        ) from error
    every = np.concatenate([boxes, ignore])
    if not np.isfinite(every).all() or (every[:, 3:] < 0).any():
        raise InputError(
            f"{path}: scene {name}: boxes hold values that are not finite or sizes below zero; label it again"
        )
    if Path(name).name != name:
        raise InputError(f"{path}: scene {name}: expected the name of a cloud in the same folder, not a path; move it")
    cloud = _cloud_of(path.parent, name)
    xyz = read_cloud(cloud).xyz
    inst = (
        None if cloud.suffix != ".npz" else _instances(cloud, [item.get("inst") for item in entry["objects"]], len(xyz))
    )
    return LabelledScene(name, str(entry.get("subset", "all")), xyz, boxes, names, inst, table_z, ignore=ignore)


def _cloud_of(folder: Path, name: str) -> Path:
    """The cloud of a scene: a file of that name, or with that name and the suffix of a cloud file.

    Raises:
        InputError: there are several.
    """
    named = folder / name
    if named.suffix.lower() in SUFFIXES and named.is_file():
        return named
    found = [path for suffix in SUFFIXES if (path := folder / f"{name}{suffix}").is_file()]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise InputError(f"{folder / INDEX}: scene {name}: its cloud may be {names}; write the suffix with the name")
    return found[0] if found else folder / f"{name}.npz"


def _instances(cloud: Path, numbers: list[Any], points: int) -> np.ndarray | None:
    """(points,) int32, k + 1 where the cloud's `inst` has the k-th of the numbers; None if either is missing.

    None also where there is not one number for each point that was read.
    """
    try:
        with np.load(cloud, allow_pickle=False) as archive:
            of_points = archive.get("inst")
    except Exception as error:
        # A damaged entry makes numpy and zipfile raise anything.
        detail = text_of(error)
        raise InputError(f"{cloud}: 'inst' cannot be read: {detail}; expected a whole number for each point") from error
    if of_points is None or of_points.shape != (points,) or not all(type(number) is int for number in numbers):
        return None
    inst = np.zeros(points, np.int32)
    for k, number in enumerate(numbers):
        inst[of_points == number] = k + 1
    return inst
