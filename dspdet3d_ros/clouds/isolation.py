"""Readers of compiled libraries, run in a process of their own.

Damaged files make the decoders of LAZ and E57 end their process: they abort at a wrong size, or access invalid memory.
In a process of its own this becomes an ordinary error.
"""

import json
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

from dspdet3d_ros.clouds.columns import RawPoints
from dspdet3d_ros.errors import InputError, text_of

# Address space of the process: for Python and the library, and for each byte of the file.
_BASE_BYTES, _BYTES_PER_BYTE = 4 << 30, 200
_REFUSED, _FAILED = 3, 4
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from dspdet3d_ros.clouds.isolation import child; child(*sys.argv[2:])"
)


def isolated(reader: Callable[[Path], RawPoints]) -> Callable[[Path], RawPoints]:
    """The reader, run in a process of its own. It must be a function of a module, and gives no ground truth.

    The result raises InputError as the reader does, and if the process ends early; OSError if there is none.
    """

    def read(path: Path) -> RawPoints:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", _START, json.dumps(sys.path), reader.__module__, reader.__name__]
            done = subprocess.run(
                [*command, str(path), folder], stdin=subprocess.DEVNULL, capture_output=True, errors="replace"
            )
            if done.returncode == 0:
                with np.load(Path(folder) / "points.npz", allow_pickle=False) as arrays:
                    return RawPoints(arrays["xyz"], arrays.get("rgb"))
            text = Path(folder) / "error.txt"
            reason = text.read_text(encoding="utf-8") if text.exists() else ""
        if done.returncode == _REFUSED:
            raise InputError(reason)
        if not reason:
            reason = f"the library that decodes it ended with {_name(done.returncode)}"
        raise RuntimeError(reason)

    return read


def _name(status: int) -> str:
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"status {status}"


def child(module: str, function: str, path: str, folder: str) -> None:
    """Reads a file and writes its points, or the reason why not, into a folder; ends the process."""
    limit = _BASE_BYTES + _BYTES_PER_BYTE * Path(path).stat().st_size
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    try:
        points = getattr(import_module(module), function)(Path(path))
        colours = {} if points.rgb is None else {"rgb": points.rgb}
        np.savez(Path(folder) / "points.npz", xyz=points.xyz, **colours)
    except BaseException as error:
        # A panic of Rust is no Exception.
        (Path(folder) / "error.txt").write_text(text_of(error), encoding="utf-8")
        sys.exit(_REFUSED if isinstance(error, InputError) else _FAILED)
