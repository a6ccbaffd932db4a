"""The clouds of a folder, by the names that labels have for them."""

from __future__ import annotations

import os
from pathlib import Path

from dspdet3d_ros.clouds.files import SUFFIXES
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.learning.datasets.formats.annotation import Annotation


class CloudIndex:
    """The clouds of a folder, by name.

    Attributes:
        folder: the folder.
    """

    def __init__(self, folder: Path, labels: set[Path]) -> None:
        self.folder = folder
        self._paths = [
            path
            for path in sorted(folder.rglob("*"))
            if path.suffix.lower() in SUFFIXES and path not in labels and path.is_file()
        ]
        self._named: dict[str, list[Path]] = {}
        for path in self._paths:
            for name in {path.name, path.stem}:
                self._named.setdefault(name, []).append(path)
        self._used: set[Path] = set()

    def find(self, annotation: Annotation) -> Path:
        """The cloud of an annotation.

        Raises:
            InputError: there is none, or several.
        """
        for name in annotation.clouds:
            if matches := self._named.get(name):
                # A text is more likely a calibration or a pose.
                clouds = [path for path in matches if path.suffix.lower() != ".txt"]
                path = self._nearest(annotation, clouds or matches)
                self._used.add(path)
                return path
        raise InputError(
            f"{annotation.path}: has no cloud {' or '.join(annotation.clouds)} in {self.folder}; copy it there, or "
            "name its folder with --clouds"
        )

    def _nearest(self, annotation: Annotation, matches: list[Path]) -> Path:
        """The one whose folder has most in common with that of the labels."""

        def common(path: Path) -> int:
            return len(os.path.commonpath([os.path.abspath(annotation.path), os.path.abspath(path)]))

        best = max(map(common, matches))
        nearest = [path for path in matches if common(path) == best]
        if len(nearest) > 1:
            names = ", ".join(path.name for path in nearest)
            raise InputError(f"{annotation.path}: its cloud may be {names}; keep one of them, or name --clouds")
        return nearest[0]

    def unused(self) -> tuple[str, ...]:
        """Names of clouds without labels. Texts are clouds only if labels name them."""
        return tuple(path.name for path in self._paths if path not in self._used and path.suffix.lower() != ".txt")
