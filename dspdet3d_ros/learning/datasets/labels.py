"""From class ids to class names, and the checks that the two agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.classes import ClassList, class_lists, list_of_dataset

_AGAIN = "correct the labels"


@dataclass(frozen=True)
class Labels:
    """Classes of a scene's objects.

    Attributes:
        ids: (K,) int64.
        names: K names, or None where the file has none.
    """

    ids: np.ndarray
    names: tuple[str, ...] | None


def dataset_classes(path: Path, metainfo: Mapping[str, Any]) -> ClassList | None:
    """The classes that an info file says it has: by `categories`, `classes`, or the name of a known data set.

    Raises:
        InputError: the categories are not names with ids from 0.
    """
    categories = metainfo.get("categories")
    if isinstance(categories, dict):
        if not all(isinstance(number, (int, np.integer)) for number in categories.values()):
            raise InputError(f"{path}: metainfo 'categories': expected class names with whole numbers as ids; {_AGAIN}")
        by_id = {number: name for name, number in categories.items()}
        names = tuple(name for number in range(len(categories)) if isinstance(name := by_id.get(number), str))
        if len(names) < len(categories):
            last = len(categories) - 1
            raise InputError(f"{path}: metainfo 'categories': expected class names with ids 0 to {last}; {_AGAIN}")
        return _with_known_small("the file", names)
    classes = metainfo.get("classes", metainfo.get("CLASSES"))
    if isinstance(classes, (list, tuple)) and classes and all(isinstance(name, str) for name in classes):
        return _with_known_small("the file", tuple(classes))
    return list_of_dataset(str(metainfo.get("dataset", metainfo.get("DATASET", ""))))


def _with_known_small(title: str, classes: tuple[str, ...]) -> ClassList:
    known = next((known for known in class_lists() if known.classes == classes), None)
    return known or ClassList(title, classes)


def named(
    path: Path, scenes: Sequence[tuple[str, Labels]], stated: ClassList | None, fallback: Sequence[str] | None
) -> tuple[ClassList | None, list[Labels]]:
    """The labels of all scenes, with names.

    Args:
        path: the info file, for messages.
        scenes: name and labels of each scene.
        stated: the classes that the file itself states.
        fallback: the classes to assume where neither objects nor file have names.

    Returns:
        The class list, None for names of the file's own, and the labels.

    Raises:
        InputError: an id is out of range or does not fit the name; or there are no names at all.
    """
    known = stated or _list_of_names(scenes)
    if known is None and any(labels.names is None and len(labels.ids) for _, labels in scenes):
        if fallback is None:
            raise InputError(
                f"{path}: names no classes; add 'name' to 'annos' or 'categories' to 'metainfo', "
                "or name a model that knows them"
            )
        known = _with_known_small("the model", tuple(fallback))
    if known is None:
        _check_own_names(path, scenes)
        return None, [Labels(labels.ids, labels.names or ()) for _, labels in scenes]
    return known, [_checked(f"{path}: scene {name}", labels, known) for name, labels in scenes]


def _list_of_names(scenes: Sequence[tuple[str, Labels]]) -> ClassList | None:
    """The known list that has all the names; of several the one that most ids agree with."""
    pairs = [pair for _, labels in scenes for pair in zip(labels.ids.tolist(), labels.names or (), strict=False)]
    candidates = [known for known in class_lists() if {name for _, name in pairs} <= set(known.classes)]
    if not pairs or not candidates:
        return None
    return max(candidates, key=lambda known: sum(known.classes.index(name) == number for number, name in pairs))


def _checked(where: str, labels: Labels, known: ClassList) -> Labels:
    for number in labels.ids.tolist():
        if not 0 <= number < len(known.classes):
            raise InputError(
                f"{where}: class id {number} is out of range: {known.title} has {len(known.classes)} classes, "
                f"ids 0 to {len(known.classes) - 1}; {_AGAIN}"
            )
    names = tuple(known.classes[number] for number in labels.ids.tolist())
    for number, name, own in zip(labels.ids.tolist(), names, labels.names or names, strict=True):
        if own != name:
            raise InputError(
                f"{where}: class id {number} is {name!r} in {known.title}, but the object is named {own!r}; {_AGAIN}"
            )
    return Labels(labels.ids, names)


def _check_own_names(path: Path, scenes: Sequence[tuple[str, Labels]]) -> None:
    name_of: dict[int, str] = {}
    id_of: dict[str, int] = {}
    for scene, labels in scenes:
        for number, name in zip(labels.ids.tolist(), labels.names or (), strict=True):
            if number < 0:
                raise InputError(
                    f"{path}: scene {scene}: class id {number} is out of range: expected 0 or more; {_AGAIN}"
                )
            if name_of.setdefault(number, name) != name or id_of.setdefault(name, number) != number:
                raise InputError(
                    f"{path}: scene {scene}: class id {number}, named {name!r}, is named otherwise elsewhere; {_AGAIN}"
                )
