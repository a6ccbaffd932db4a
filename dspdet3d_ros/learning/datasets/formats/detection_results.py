"""The results that `dspdet3d detect` writes: a JSON file of one cloud, or JSON lines of many."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.clouds.upright import to_upright
from dspdet3d_ros.errors import InputError, no_such_file, text_of
from dspdet3d_ros.learning.datasets.formats.annotation import entries, number, numbers, sizes, text
from dspdet3d_ros.learning.datasets.formats.oriented import OrientedBoxes


@dataclass(frozen=True)
class FoundBoxes:
    """The boxes that were found in one cloud.

    Attributes:
        cloud: name of the cloud file.
        boxes: the boxes, in metres with z up.
        scores: (K,) scores.
        to_file: (3, 3) matrix that takes the boxes to the frame and unit of the cloud file.
    """

    cloud: str
    boxes: OrientedBoxes
    scores: np.ndarray
    to_file: np.ndarray


def read_results(path: Path, score: float = 0.0) -> tuple[list[FoundBoxes], int]:
    """The results in a file, and the number of clouds without a result.

    Args:
        path: a file of `dspdet3d detect --json` or `detections.jsonl`.
        score: boxes with a lower score are left out.

    Raises:
        InputError: the file cannot be read, or two clouds have the same name.
    """
    try:
        content = path.read_text(encoding="utf-8")
        try:
            records = [json.loads(content)]
        except ValueError:
            records = [json.loads(line) for line in content.splitlines()]
    except FileNotFoundError:
        raise no_such_file(path) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: expected what `dspdet3d detect` writes, cannot read it: {text_of(error)}; run it again"
        ) from error
    found: dict[str, FoundBoxes] = {}
    failed = 0
    for k, record in enumerate(records, 1):
        try:
            if isinstance(record, dict) and "error" in record:
                failed += 1
                continue
            one = _read(record, path.stem, score)
        except InputError as error:
            raise InputError(f"{path}: line {k}: {error}") from None
        stem = Path(one.cloud).stem
        if stem in found:
            raise InputError(f"{path}: two clouds are called {stem}; detect them in runs of their own")
        found[stem] = one
    return list(found.values()), failed


def _read(record: Any, default: str, score: float) -> FoundBoxes:
    if not isinstance(record, dict):
        raise InputError(f"expected an object, got {str(record)[:40]!r}; run `dspdet3d detect` again")
    source = record.get("source")
    named = source.get("file") if isinstance(source, dict) else None
    frame = record.get("frame_of_file", {"up": "z", "unit": "m"})
    if not isinstance(frame, dict) or not all(isinstance(frame.get(key), str) for key in ("up", "unit")):
        raise InputError(f"frame_of_file: expected up and unit, got {str(frame)[:40]!r}; run `dspdet3d detect` again")
    rows, scores = [], []
    for k, item in enumerate(entries(record.get("detections"), "detections")):
        what = f"detection {k}"
        name, own_score = text(item.get("class"), f"{what}, class"), number(item.get("score"), f"{what}, score")
        centre, size = (numbers(item.get(key), f"{what}, {key}") for key in ("center", "size"))
        turned = np.array([*centre, *size, 0.0])
        if "turned" in item:
            turned = numbers(item["turned"], f"{what}, turned", count=7)
        sizes(turned[3:6], what)
        if own_score >= score:
            rows.append((name, turned))
            scores.append(own_score)
    boxes = OrientedBoxes.of_turned(np.array([row for _, row in rows]).reshape(-1, 7), tuple(name for name, _ in rows))
    to_file = np.linalg.inv(to_upright(frame["up"], frame["unit"]))
    return FoundBoxes(named if isinstance(named, str) and named else default, boxes, np.array(scores), to_file)
