"""Numbers from the text files of the layouts."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.mapping.frame import Camera, FrameRefused

_AGAIN = "write or copy it again"


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or text_of(error)}; copy the folder again"
        ) from error


def matrix(path: Path, rows: int, columns: int) -> np.ndarray:
    """(rows, columns) float64 numbers of a file that has nothing else; infinity and NaN are numbers too.

    Raises:
        InputError: the file is missing or has other numbers.
    """
    words = read_text(path).replace(",", " ").split()
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) != rows * columns:
        raise InputError(f"{path}: expected {rows} x {columns} numbers, got {len(words)} words; {_AGAIN}")
    return numbers.reshape(rows, columns)


def pose(path: Path) -> np.ndarray:
    """(4, 4) of a file.

    Raises:
        FrameRefused: kind "file".
    """
    try:
        return matrix(path, 4, 4)
    except InputError as error:
        raise FrameRefused("file", str(error)) from error


def rows_of(path: Path) -> list[list[str]]:
    """The words of each line; comments after # and empty lines are left out."""
    lines = (line.split("#")[0].replace(",", " ").split() for line in read_text(path).splitlines())
    return [words for words in lines if words]


def camera(intrinsics: tuple[float, float, float, float], depth: np.ndarray) -> Camera:
    """A camera from fx fy cx cy and the image that it made."""
    return Camera(depth.shape[1], depth.shape[0], *intrinsics)


def four(numbers: np.ndarray) -> tuple[float, float, float, float]:
    """fx fy cx cy of an intrinsic matrix."""
    return float(numbers[0, 0]), float(numbers[1, 1]), float(numbers[0, 2]), float(numbers[1, 2])


def intrinsics_in(folder: Path) -> tuple[float, float, float, float] | None:
    """fx fy cx cy of the file camera-intrinsics.txt; None if there is none."""
    file = folder / "camera-intrinsics.txt"
    return four(matrix(file, 3, 3)) if file.exists() else None


def numbered(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """The files of a folder by the last number in their names, in ascending order."""
    found: dict[int, Path] = {}
    if folder.is_dir():
        for path in folder.iterdir():
            numbers = re.findall(r"\d+", path.stem)
            # macOS leaves a hidden file "._NAME" for each file that it copies.
            if numbers and path.suffix.lower() in suffixes and not path.name.startswith("."):
                found[int(numbers[-1])] = path
    return dict(sorted(found.items()))
