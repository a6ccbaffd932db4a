"""Folders of labelled scenes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.generation.files import load_scene


@dataclass(frozen=True)
class LabelledScene:
    """One scene to be judged on.

    Attributes:
        name: of the scene.
        subset: the group that the scene belongs to.
        xyz: (N, 3) float32 metres.
        boxes: (K, 6) float32.
        names: K class names, "object" where the source has none.
    """

    name: str
    subset: str
    xyz: np.ndarray
    boxes: np.ndarray
    names: tuple[str, ...]


def open_scenes(folder: Path, limit: int | None = None) -> tuple[int, Iterator[LabelledScene]]:
    """The scenes of a folder: generated ones, or clouds (.npz) beside a `boxes.json`.

    Args:
        folder: the folder.
        limit: the most that are read.

    Returns:
        Their number and an iterator that reads them one by one.

    Raises:
        InputError: the folder holds neither, or a file of it cannot be read.
    """
    folder = Path(folder)
    if (folder / "boxes.json").is_file():
        entries = _read_index(folder / "boxes.json")[:limit]
        return len(entries), (_from_index(folder, entry) for entry in entries)
    files = sorted(folder.glob("*.npz"))[:limit]
    if not files:
        raise InputError(f"{folder}: expected a folder with generated .npz scenes, or clouds with a boxes.json")
    return len(files), (_generated(path) for path in files)


def _generated(path: Path) -> LabelledScene:
    scene = load_scene(path)
    style = scene.tags[0] if scene.tags else "all"
    return LabelledScene(path.stem, f"{scene.kind} {style}", scene.xyz, scene.boxes, scene.names)


def _read_index(path: Path) -> list[dict]:
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as json: {error}") from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{path}: expected a list of scenes")
    return entries


def _from_index(folder: Path, entry: dict) -> LabelledScene:
    try:
        name = str(entry["scene"])
        boxes = np.array([thing["box"] for thing in entry["objects"]], np.float32).reshape(-1, 6)
        names = tuple(str(thing.get("name", "object")) for thing in entry["objects"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / 'boxes.json'}: a scene lacks 'scene' or 'objects' with 'box': {error}") from error
    xyz = read_cloud(folder / f"{name}.npz").xyz
    return LabelledScene(name, str(entry.get("subset", "all")), xyz, boxes, names)
