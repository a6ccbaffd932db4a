"""Labels of one cloud as a label file has them, and checks of values in such files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.learning.datasets.formats.oriented import OrientedBoxes

# A coordinate or size beyond this is no label, whatever the unit.
_MOST = 1e9


@dataclass(frozen=True)
class Annotation:
    """Labels of one cloud.

    Attributes:
        path: the label file.
        clouds: names that the cloud may have, with or without suffix, the most certain first.
        boxes: the boxes, in the frame of the cloud file; None where points are numbered instead.
        instances: (N,) int64 object number of each point, 0 for none; None where there are boxes.
        names: class names of the numbered objects.
    """

    path: Path
    clouds: tuple[str, ...]
    boxes: OrientedBoxes | None = None
    instances: np.ndarray | None = None
    names: Mapping[int, str] | None = None


def read_json(path: Path) -> Any:
    """The contents of a JSON file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON: {text_of(error)}; export the labels again") from error


def number(value: Any, what: str) -> float:
    """A finite number.

    Raises:
        InputError: it is none; the text names `what`, not the file.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > _MOST:
        raise InputError(f"{what}: expected a number, got {str(value)[:40]!r}; correct the label")
    return float(value)


def numbers(values: Any, what: str, names: tuple[str, ...] | None = None, count: int = 3) -> np.ndarray:
    """(count,) numbers of a list, or of an object with these names.

    Raises:
        InputError: they are none; the text names `what`, not the file.
    """
    if names is not None:
        if not isinstance(values, dict) or not set(names) <= set(values):
            raise InputError(f"{what}: expected {', '.join(names)}, got {str(values)[:40]!r}; correct the label")
        values = [values[name] for name in names]
    if not isinstance(values, list) or len(values) != count:
        raise InputError(f"{what}: expected {count} numbers, got {str(values)[:40]!r}; correct the label")
    return np.array([number(value, what) for value in values])


def sizes(values: np.ndarray, what: str) -> np.ndarray:
    """The same sizes.

    Raises:
        InputError: one is not positive; the text names `what`, not the file.
    """
    if (values <= 0).any():
        raise InputError(f"{what}: expected positive sizes, got {values.tolist()}; correct or delete the box")
    return values


def text(value: Any, what: str) -> str:
    """A name that is not empty.

    Raises:
        InputError: it is none; the text names `what`, not the file.
    """
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{what}: expected a class name, got {str(value)[:40]!r}; correct the label")
    return value.strip()


def entries(values: Any, what: str) -> list[dict[str, Any]]:
    """A list of objects.

    Raises:
        InputError: it is none; the text names `what`, not the file.
    """
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise InputError(f"{what}: expected a list of objects, got {str(values)[:40]!r}; export the labels again")
    return values
