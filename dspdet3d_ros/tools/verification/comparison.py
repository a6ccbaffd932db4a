"""Comparisons with reference numbers, and reading of the reference files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dspdet3d_ros.errors import InputError, text_of

_AGAIN = "restore the reference file"
FORWARD_TOLERANCE = 1e-4
HALF_TOLERANCE = 2e-3
LOSS_TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 3e-3


@dataclass(frozen=True)
class Comparison:
    """The result of one comparison.

    Attributes:
        name: of the compared values.
        passed: whether they agree within the tolerance.
        detail: the figures.
    """

    name: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'pass' if self.passed else 'FAIL'}  {self.name}: {self.detail}"


def relative_error(values: np.ndarray, reference: np.ndarray) -> float:
    """‖values − reference‖ / ‖reference‖; infinite if the shapes differ."""
    if values.shape != reference.shape:
        return float("inf")
    norm = float(np.linalg.norm(reference))
    difference = float(np.linalg.norm(values.astype(np.float64) - reference))
    return difference / norm if norm else difference


def close(name: str, values: np.ndarray, reference: np.ndarray, tolerance: float) -> Comparison:
    """Compares floats."""
    error = relative_error(values, reference)
    return Comparison(name, error <= tolerance, f"relative error {error:.1e} (at most {tolerance:g})")


def read_reference(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a reference file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # numpy and zipfile raise many types; after any of them the file cannot be used
        raise InputError(f"{path}: not readable as npz: {text_of(error)}; {_AGAIN}") from error


def read_description(path: Path) -> dict[str, Any]:
    """The JSON file that belongs to a reference file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable as json: {text_of(error)}; {_AGAIN}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a mapping, got {type(values).__name__}; {_AGAIN}")
    return values
