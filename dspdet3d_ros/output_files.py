"""Writing of files and figures: folders are created, and errors have one form."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dspdet3d_ros.errors import missing_package, unwritable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Creates the folder of a file. Write the file within this context.

    Raises:
        InputError: the folder or the file cannot be written.
    """
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def writing_whole(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path, and renames it to `path` after success, so that `path` is never a partial file.

    Raises:
        InputError: the file cannot be written.
    """
    part = _part(path)
    with writing(path):
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def check_writable(path: str | Path) -> None:
    """Creates the folder of a file and checks that the file can be written, before long work for it.

    Raises:
        InputError: it cannot be written.
    """
    with writing(path):
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        part = _part(path)
        part.touch()
        part.unlink()


def _part(path: str | Path) -> Path:
    """The temporary path of a file that this process writes, in the same folder."""
    path = Path(path)
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def make_folder(folder: str | Path) -> None:
    """Creates a folder and its parents. The folder may exist already.

    Raises:
        InputError: the folder cannot be created.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error) from error


def write_json(path: str | Path, values: dict[str, Any]) -> None:
    """Writes values as a JSON file; creates its folder.

    Raises:
        InputError: the file cannot be written.
    """
    with writing(path):
        Path(path).write_text(json.dumps(values, indent=2) + "\n")


def new_figure(width_in: float, height_in: float, dpi: float, **options: Any) -> Figure:
    """An empty figure of the given size. `options` are passed to matplotlib's Figure.

    Raises:
        InputError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_package("drawing", "matplotlib") from None
    return Figure(figsize=(width_in, height_in), dpi=dpi, **options)


def write_figure(path: str | Path, figure: Figure) -> None:
    """Writes a figure as PNG; creates its folder.

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with writing(path):
        FigureCanvasAgg(figure).print_png(str(path))
