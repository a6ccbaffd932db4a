"""From class ids to class names, and the checks that the two agree."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.classes import ClassList, class_lists, list_of_dataset

_AGAIN = "correct the labels"
# Keys of `metainfo`, in lower case without underscores, as data sets write them.
_DATASET_KEYS = ("dataset", "datasetname", "datasettype")
_CATEGORY_KEYS = ("categories", "cat2label")
_CLASS_KEYS = ("classes", "classnames")
# Without any set-up of logging its warnings go to the standard error, one line each.
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labels:
    """Classes of a scene's objects.

    Attributes:
        ids: (K,) int64.
        names: K names, or None if the file has none.
    """

    ids: np.ndarray
    names: tuple[str, ...] | None


@dataclass(frozen=True)
class Statement:
    """The classes of an info file.

    Attributes:
        dataset: name of the data set; empty if the file names none.
        classes: its classes; None if neither the file nor we know them.
    """

    dataset: str = ""
    classes: ClassList | None = None


def statement(path: Path, metainfo: Mapping[str, Any]) -> Statement:
    """The classes that `metainfo` gives, by `categories`, `classes`, or the name of a known data set.

    Keys may have capitals and underscores, and other usual names.

    Raises:
        InputError: the categories are not names with ids from 0, or the classes are not names.
    """
    metainfo = {str(key).lower().replace("_", ""): value for key, value in metainfo.items()}
    dataset = str(_first(metainfo, _DATASET_KEYS) or "")
    return Statement(dataset, _listed(path, metainfo) or list_of_dataset(dataset))


def _first(metainfo: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((metainfo[key] for key in keys if metainfo.get(key) is not None), None)


def _listed(path: Path, metainfo: Mapping[str, Any]) -> ClassList | None:
    categories = _first(metainfo, _CATEGORY_KEYS)
    if categories is not None:
        if not isinstance(categories, dict) or not all(isinstance(n, (int, np.integer)) for n in categories.values()):
            raise InputError(f"{path}: metainfo 'categories': expected class names with whole numbers as ids; {_AGAIN}")
        by_id = {number: name for name, number in categories.items()}
        names = tuple(name for number in range(len(categories)) if isinstance(name := by_id.get(number), str))
        if len(names) < len(categories):
            last = len(categories) - 1
            raise InputError(f"{path}: metainfo 'categories': expected class names with ids 0 to {last}; {_AGAIN}")
        return _with_known_small("the file", names)
    classes = _first(metainfo, _CLASS_KEYS)
    if classes is None:
        return None
    classes = classes.tolist() if isinstance(classes, np.ndarray) else classes
    if not isinstance(classes, (list, tuple)) or not classes or not all(isinstance(name, str) for name in classes):
        raise InputError(f"{path}: metainfo 'classes': expected a list of class names; {_AGAIN}")
    return _with_known_small("the file", tuple(classes))


def _with_known_small(title: str, classes: tuple[str, ...]) -> ClassList:
    known = next((known for known in class_lists() if known.classes == classes), None)
    return known or ClassList(title, classes)


def named(
    path: Path, scenes: Sequence[tuple[str, Labels]], stated: Statement, fallback: Sequence[str] | None
) -> tuple[ClassList | None, list[Labels]]:
    """The labels of all scenes, with names.

    Names come from the file: from its statement or its objects. Only a file that states nothing is read with the
    names of `fallback`, which is logged.

    Args:
        path: the info file, for messages.
        scenes: name and labels of each scene.
        stated: what the file itself states.
        fallback: the classes to assume if the file names neither classes nor a data set.

    Returns:
        The class list, None for names of the file's own, and the labels.

    Raises:
        InputError: an id is out of range or does not fit the name; or nobody knows the names of the ids.
    """
    # A data set that is not known is not taken for another one whose classes have the same names.
    known = stated.classes or (None if stated.dataset else _list_of_names(scenes))
    if known is None and any(labels.names is None and len(labels.ids) for _, labels in scenes):
        if stated.dataset:
            lists = ", ".join(known.title for known in class_lists())
            raise InputError(
                f"{path}: says that it is of the data set '{stated.dataset}', whose classes are not known (known: "
                f"{lists}); add its 'categories' to 'metainfo'"
            )
        if fallback is None:
            raise InputError(
                f"{path}: names no classes; add 'name' to 'annos' or 'categories' to 'metainfo', "
                "or name a model that knows them"
            )
        known = _with_known_small("the model", tuple(fallback))
        _LOG.warning("%s: does not name its classes: ids 0, 1, ... are taken for %s", path, ", ".join(fallback))
    if known is None:
        _check_own_names(path, scenes)
        return None, [Labels(labels.ids, labels.names or ()) for _, labels in scenes]
    return known, [_checked(f"{path}: scene {name}", labels, known) for name, labels in scenes]


def _list_of_names(scenes: Sequence[tuple[str, Labels]]) -> ClassList | None:
    """The known list that has all the names, with which most ids agree; of several the one with which more do."""
    pairs = [pair for _, labels in scenes for pair in zip(labels.ids.tolist(), labels.names or (), strict=False)]
    candidates = [known for known in class_lists() if {name for _, name in pairs} <= set(known.classes)]
    if not pairs or not candidates:
        return None
    agreeing = {known.title: sum(known.classes.index(name) == number for number, name in pairs) for known in candidates}
    best = max(candidates, key=lambda known: agreeing[known.title])
    # Otherwise the file numbers its own classes.
    return best if 2 * agreeing[best.title] >= len(pairs) else None


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
