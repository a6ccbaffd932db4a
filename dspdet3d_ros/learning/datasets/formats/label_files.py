"""The label files of a folder: which format each one has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.learning.datasets.formats import instances, kitti, labelcloud, platforms
from dspdet3d_ros.learning.datasets.formats.annotation import Annotation, read_json

# A larger text is a cloud.
_TEXT_BYTES = 1 << 28


class LabelFiles:
    """The label files of a folder.

    Attributes:
        annotations: their labels.
        paths: the files.
        not_labels: other .json and .txt files.
        untransformed: number of KITTI files without calibration.
    """

    def __init__(self, folder: Path, angles: str | None) -> None:
        self._folder = folder
        self.annotations: list[Annotation] = []
        self.paths: set[Path] = set()
        self.untransformed = 0
        others = []
        clouds: dict[Path, Any] = {}
        for path in sorted(folder.rglob("*")):
            if not path.is_file() or path.suffix.lower() not in (".json", ".txt"):
                continue
            contents = read_json(path) if path.suffix.lower() == ".json" else None
            if labelcloud.is_labelcloud(contents):
                clouds[path] = contents
            elif not self._take(path, contents):
                others.append(path.name)
        if clouds:
            unit = labelcloud.unit_of_angles(clouds, angles)
            for path, contents in clouds.items():
                with _naming(path):
                    self._add(path, [labelcloud.read_labelcloud(path, contents, unit)])
        if not self.annotations:
            raise InputError(
                f"{folder}: has no label files of labelCloud, KITTI, Supervisely, CVAT (Datumaro) or ScanNet; "
                "export the labels in one of these formats"
            )
        self.not_labels = tuple(others)

    def _take(self, path: Path, contents: Any) -> bool:
        """Reads a file, if it has labels."""
        with _naming(path):
            if path.suffix.lower() == ".txt":
                return self._take_text(path)
            if platforms.is_supervisely(contents):
                self._add(path, [platforms.read_supervisely(path, contents)])
            elif platforms.is_datumaro(contents):
                self._add(path, platforms.read_datumaro(path, contents))
            elif instances.is_groups(contents):
                self._add(path, instances.read_groups(path, contents))
            else:
                return False
        return True

    def _take_text(self, path: Path) -> bool:
        if path.stat().st_size > _TEXT_BYTES:
            return False
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if kitti.is_kitti(lines):
            calibration = self._calibration(path)
            self.untransformed += calibration is None
            self._add(path, [kitti.read_kitti(path, lines, calibration)])
        elif instances.is_numbers(lines):
            self._add(path, [instances.read_numbers_of_points(path, lines)])
        else:
            return False
        return True

    def _calibration(self, path: Path) -> Path | None:
        folders = (path.parent.parent / "calib", path.parent / "calib", self._folder / "calib")
        return next((folder / path.name for folder in folders if (folder / path.name).is_file()), None)

    def _add(self, path: Path, annotations: Sequence[Annotation]) -> None:
        self.annotations += annotations
        self.paths.add(path)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the file's name in front of an InputError of the context."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {text_of(error)}; copy it again") from error
    except InputError as error:
        # Errors of other files have their names already.
        if str(error).startswith(str(path.parent)):
            raise
        raise InputError(f"{path}: {error}") from error
