"""Points that are numbered by object, as in ScanNet and its relatives.

* Segments and groups: `NAME.aggregation.json` with `*.segs.json` (ScanNet), or `segments_anno.json` with
  `segments.json` (ScanNet++). The names of the labels are those in the file.
* One number per point and line, 1000 · class + object (ground truth and results of ScanNet's benchmark): `NAME.txt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.formats.annotation import Annotation, entries, read_json, text

_CLASS = 1000
# More cannot be points of a file that anybody reads.
_MOST_NUMBER = 1 << 31


def is_groups(contents: Any) -> bool:
    """True for the contents of a file of groups."""
    return isinstance(contents, dict) and "segGroups" in contents


def read_groups(path: Path, contents: Any) -> list[Annotation]:
    """The objects of a file of groups: one annotation for each file of segments in its folder.

    Which of them belongs to the cloud follows from the number of its points.

    Raises:
        InputError: there is no file of segments, or a value is missing or wrong.
    """
    groups = []
    for k, group in enumerate(entries(contents["segGroups"], "segGroups")):
        parts = group.get("segments")
        if not isinstance(parts, list) or not all(type(part) is int and abs(part) < _MOST_NUMBER for part in parts):
            raise InputError(f"group {k}: expected whole numbers as segments; export the labels again")
        groups.append((text(group.get("label"), f"group {k}, label"), parts))
    stem = path.name.split(".")[0]
    found = []
    for other in sorted(path.parent.glob("*seg*.json")):
        if other == path:
            continue
        described = read_json(other)
        segments = described.get("segIndices") if isinstance(described, dict) else None
        if not isinstance(segments, list):
            continue
        if not all(type(part) is int and abs(part) < _MOST_NUMBER for part in segments):
            raise InputError(f"{other.name}: expected whole numbers as segIndices; export the labels again")
        of_points = np.array(segments, np.int64)
        instances, names = np.zeros(len(of_points), np.int64), {}
        for k, (name, parts) in enumerate(groups, 1):
            # A segment in two groups belongs to the later one.
            instances[np.isin(of_points, np.array(parts, np.int64))] = k
            names[k] = name
        clouds = (other.name.split(".")[0], stem, path.parent.name)
        found.append(Annotation(path, clouds, None, instances, names))
    if not found:
        raise InputError("has no file of segments (*.segs.json or segments.json) in its folder; copy it there")
    return found


def is_numbers(lines: Sequence[str]) -> bool:
    """True for the lines of a file with one whole number per line."""
    return len(lines) > 1 and all(line.strip().isdigit() for line in lines[:100] if line.strip())


def read_numbers_of_points(path: Path, lines: Sequence[str]) -> Annotation:
    """The objects of a file with one number per point; the name of a class is its number.

    Raises:
        InputError: a line is no number; the text names the line, not the file.
    """
    values = np.zeros(len(lines), np.int64)
    for k, line in enumerate(lines):
        word = line.strip()
        if not (word.isascii() and word.isdigit() and len(word) < 10):
            raise InputError(f"line {k + 1}: expected a whole number, got {word[:20]!r}; export the labels again")
        values[k] = int(word)
    # A class without a number of an object has no objects.
    values[values % _CLASS == 0] = 0
    numbers, instances = np.unique(values, return_inverse=True)
    offset = 0 if len(numbers) and numbers[0] == 0 else 1
    names = {k + offset: str(int(number) // _CLASS) for k, number in enumerate(numbers) if number}
    return Annotation(path, (path.stem,), None, instances.reshape(-1) + offset, names)
