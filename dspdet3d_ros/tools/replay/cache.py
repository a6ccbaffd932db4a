"""Detections that were computed already, so that a run that was stopped continues where it was."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from dspdet3d_ros.detector.result import Detections, DetectionStats, LevelCells, Shortlist
from dspdet3d_ros.errors import InputError, unwritable
from dspdet3d_ros.output_files import writing_whole

NAME = "computed.jsonl"


class Cache:
    """Detections by stamp, in a file that grows with each cloud.

    Args:
        folder: of the results.
        settings: what detections depend on; those of other settings do not count.
        resume: whether earlier detections are used.

    Raises:
        InputError: the file cannot be written, or has detections of other settings.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], resume: bool) -> None:
        self._path = folder / NAME
        self._found: dict[int, dict[str, Any]] = {}
        #: Number of clouds whose detections were there already.
        self.reused = 0
        if resume and self._path.is_file():
            self._read(settings)
        with writing_whole(self._path) as part:
            part.write_text("".join(map(_line, [{"settings": settings}, *self._found.values()])), encoding="utf-8")
        try:
            self._stream: IO[str] = open(self._path, "a", encoding="utf-8")  # noqa: SIM115, open until `close`
        except OSError as error:
            raise unwritable(self._path, error) from error

    def get(self, time_ns: int, points: int, class_names: tuple[str, ...]) -> Detections | None:
        """The detections in the cloud with this stamp and number of points, if they are known."""
        record = self._found.get(time_ns)
        if record is None or record["points"] != points:
            return None
        self.reused += 1
        return _from_plain(record["detections"], class_names)

    def add(self, time_ns: int, points: int, detections: Detections) -> None:
        """Keeps the detections of a cloud.

        Raises:
            InputError: the file cannot be written.
        """
        try:
            self._stream.write(_line({"time_ns": time_ns, "points": points, "detections": _to_plain(detections)}))
            self._stream.flush()
        except OSError as error:
            raise unwritable(self._path, error) from error

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()

    def _read(self, settings: dict[str, Any]) -> None:
        """Reads what an earlier run has written; it may have ended in the middle of a line."""
        lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        try:
            records = [json.loads(line) for line in lines]
            before = records[0]["settings"] if records else settings
            found = {record["time_ns"]: record for record in records[1:]}
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self._path}: cannot be read ({error}); run without --resume") from error
        if before != settings:
            raise InputError(
                f"{self._path}: has detections of other settings; use those again, name another folder, or run without "
                "--resume"
            )
        self._found = found


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record) + "\n"


def _to_plain(detections: Detections) -> dict[str, Any]:
    scores = detections.class_scores
    return {
        "boxes": detections.boxes.tolist(),
        "scores": detections.scores.tolist(),
        "labels": detections.labels.tolist(),
        "class_scores": None
        if scores is None
        else [{int(k): float(row[k]) for k in np.flatnonzero(row)} for row in scores],
        "stats": asdict(detections.stats),
    }


def _from_plain(plain: dict[str, Any], class_names: tuple[str, ...]) -> Detections:
    stats = dict(plain["stats"])
    stats["levels"] = tuple(LevelCells(**cells) for cells in stats["levels"])
    stats["shortlist"] = Shortlist(**stats["shortlist"])
    class_scores = None
    if plain["class_scores"] is not None:
        class_scores = np.zeros((len(plain["class_scores"]), len(class_names)), np.float32)
        for row, scores in zip(class_scores, plain["class_scores"], strict=True):
            for label, score in scores.items():
                row[int(label)] = score
    return Detections(
        boxes=np.array(plain["boxes"], np.float64).reshape(-1, 6),
        scores=np.array(plain["scores"], np.float32),
        labels=np.array(plain["labels"], np.int64),
        class_names=class_names,
        stats=DetectionStats(**stats),
        class_scores=class_scores,
    )
