"""Values as a JSON file."""

import json
from pathlib import Path
from typing import Any

from dspdet3d_ros.errors import InputError


def write_json(path: str | Path, values: dict[str, Any]) -> None:
    """Writes values as a JSON file; its folder is made.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(values, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
