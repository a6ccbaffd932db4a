"""KITTI's text files: one object per line.

With a calibration file (`calib/NAME.txt`) the boxes are in the frame of the camera, as KITTI defines them: the location
is the middle of the bottom, and the angle is about the downward axis. Without one they are in the frame of the cloud,
as labelCloud's kitti_untransformed writes them: the location is the centre, and the angle is about z.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dspdet3d_ros.errors import InputError, text_of
from dspdet3d_ros.geometry import rotate
from dspdet3d_ros.learning.datasets.formats.annotation import Annotation, number, sizes
from dspdet3d_ros.learning.datasets.formats.oriented import OrientedBoxes

#: Type, truncation, occlusion, alpha, 4 numbers of the image, height, width, length, location and angle; maybe a score.
COLUMNS = (15, 16)
_IGNORED = "DontCare"
_MATRICES = {"R0_rect": (3, 3), "Tr_velo_to_cam": (3, 4)}


def is_kitti(lines: Sequence[str]) -> bool:
    """True for the lines of a label file."""
    first = next((line.split() for line in lines if line.strip()), [])
    return len(first) in COLUMNS and not _is_number(first[0]) and all(map(_is_number, first[1:]))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def read_kitti(path: Path, lines: Sequence[str], calibration: Path | None) -> Annotation:
    """The boxes of a label file.

    Args:
        path: of the file.
        lines: of the file.
        calibration: see above.

    Raises:
        InputError: a value is missing or wrong; the text names the line, not the file.
    """
    rows = []
    for k, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0] == _IGNORED:
            continue
        if len(words) not in COLUMNS:
            raise InputError(f"line {k}: expected {COLUMNS[0]} columns, got {len(words)}; export the labels again")
        what = f"line {k}"
        values = np.array([_value(word, what) for word in words[8:15]])
        height, width, length = sizes(values[:3], what)
        if calibration is None:
            rows.append((words[0], values[3:6], rotate("z", values[6]), np.array([length, width, height])))
        else:
            # y points down: the centre is half the height above the bottom.
            centre = values[3:6] - [0, height / 2, 0]
            rows.append((words[0], centre, rotate("y", values[6]), np.array([length, height, width])))
    boxes = OrientedBoxes.of(rows)
    if calibration is not None:
        matrix, offset = _from_camera(calibration)
        boxes = boxes.moved(matrix, offset)
    return Annotation(path, (path.stem,), boxes)


def _value(word: str, what: str) -> float:
    return number(float(word) if _is_number(word) else word, what)


def _from_camera(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(3, 3) rotation and (3,) offset from the frame of the camera to that of the scanner."""
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        found = {words[0].rstrip(":"): np.array([float(word) for word in words[1:]]) for words in lines}
        rectify, move = (found[name].reshape(shape) for name, shape in _MATRICES.items())
        matrix, offset = rectify @ move[:, :3], rectify @ move[:, 3]
        inverse = np.linalg.inv(matrix)
    except (OSError, ValueError, KeyError, np.linalg.LinAlgError) as error:
        raise InputError(
            f"{path}: expected {' and '.join(_MATRICES)}, cannot read them: {text_of(error)}; copy the file again"
        ) from error
    if not (np.isfinite(offset).all() and np.abs(matrix @ matrix.T - np.eye(3)).max() < 0.01):
        raise InputError(f"{path}: {' times '.join(_MATRICES)} is no rotation; copy the file again")
    return inverse, -inverse @ offset


def write_kitti(turned: np.ndarray, names: Sequence[str], scores: Sequence[float]) -> str:
    """The lines of a label file without calibration, as labelCloud's kitti_untransformed reads them.

    Args:
        turned: (K, 7) centre, size and yaw.
        names: K class names; spaces become underscores, as columns are separated by spaces.
        scores: K scores.
    """
    lines = []
    for row, name, score in zip(turned, names, scores, strict=True):
        x, y, z, length, width, height, yaw = (f"{float(value):.6g}" for value in row)
        numbers = f"{height} {width} {length} {x} {y} {z} {yaw} {score:.4f}"
        lines.append(f"{'_'.join(name.split())} 0 0 0 0 0 0 0 {numbers}\n")
    return "".join(lines)
