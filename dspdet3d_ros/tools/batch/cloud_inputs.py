"""The cloud files in a list of files, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dspdet3d_ros.clouds.files import SUFFIXES
from dspdet3d_ros.errors import InputError, no_such_file

#: In a folder, files of these kinds may hold anything. They are read if they are named, also by a pattern.
OTHER_CONTENT = (".txt", ".csv")


def cloud_files(names: Sequence[str]) -> list[Path]:
    """The files, in order, each one once.

    Args:
        names: files; folders, of which all cloud files are taken, also those in sub-folders, but no hidden ones; and
            patterns such as `scans/**/*.ply`, which the shell has not replaced.

    Raises:
        InputError: a file does not exist, or a folder or pattern gives no file.
    """
    found: dict[str, Path] = {}
    for name in names:
        for path in _named(name):
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _named(name: str) -> Iterator[Path]:
    if os.path.isdir(name):
        files = list(_in_folder(Path(name)))
        if not files:
            raise InputError(f"{name}: holds no cloud files ({', '.join(SUFFIXES)}); name another folder")
        yield from files
    elif os.path.exists(name):
        yield Path(name)
    elif glob.has_magic(name):
        matches = sorted(match for match in glob.glob(name, recursive=True) if os.path.isfile(match))
        if not matches:
            raise InputError(f"{name}: no file has such a name; check the pattern")
        yield from map(Path, matches)
    else:
        raise no_such_file(name)


def _in_folder(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        kind = path.suffix.lower()
        if not hidden and kind in SUFFIXES and kind not in OTHER_CONTENT and path.is_file():
            yield path
