"""Numpy's .npy and .npz files; their headers are checked before memory is allocated."""

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple

import numpy as np

from dspdet3d_ros.errors import InputError, no_such_file, text_of


class Header(NamedTuple):
    """Shape and type of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype


#: Kinds of numbers, as numpy's letters, and the lengths of the axes, None for any.
Layout = tuple[str, tuple[int | None, ...]]

# No byte of a deflated entry stands for more.
DEFLATE_RATIO = 1032
_KINDS = {"f": "numbers", "i": "whole numbers", "u": "whole numbers", "U": "texts"}


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file.

    Raises:
        InputError: it holds Python objects, or less than its header promises; the text does not name the file.
        Exception: any error of numpy for a damaged file.
    """
    with open(path, "rb") as stream:
        header = check_size(stream, os.fstat(stream.fileno()).st_size)
        if header is not None and header.dtype.hasobject:
            raise InputError(
                "holds Python objects, which may run code; save the arrays alone, with np.savez(path, xyz=..., rgb=...)"
            )
        return np.load(stream, allow_pickle=False)


def read_arrays(
    path: Path, layouts: Mapping[str, Layout], what: str, optional: Mapping[str, Layout] = MappingProxyType({})
) -> dict[str, np.ndarray]:
    """The arrays of an .npz that must have them all.

    Args:
        path: the file.
        layouts: what is expected of each array, by its name; an empty array may be of any kind.
        what: expected content of the file, for messages.
        optional: what is expected of arrays that the file may also have.

    Raises:
        InputError: there is no such file, it is damaged, or an array is missing or of another layout.
    """
    try:
        check_archive(path)
        with np.load(path, allow_pickle=False) as stored:
            missing = [name for name in layouts if name not in stored]
            if missing:
                raise InputError(f"expected {what}, but it has no array '{missing[0]}'; name another file")
            layouts = {**layouts, **{name: layout for name, layout in optional.items() if name in stored}}
            arrays = {name: stored[name] for name in layouts}
        for name, (kinds, lengths) in layouts.items():
            _check_layout(name, arrays[name], kinds, lengths)
    except FileNotFoundError:
        raise no_such_file(path) from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:
        # For a damaged file the parsers raise errors of many types: zip, header tokens, memory.
        raise InputError(f"{path}: expected {what}, cannot read it: {text_of(error)}; copy or make it again") from error
    return arrays


def _check_layout(name: str, array: np.ndarray, kinds: str, lengths: tuple[int | None, ...]) -> None:
    fits = len(array.shape) == len(lengths) and all(n in (None, m) for n, m in zip(lengths, array.shape, strict=True))
    if not fits or (array.dtype.kind not in kinds and array.size):
        shape = "(" + ", ".join("any" if n is None else str(n) for n in lengths) + ")"
        raise InputError(
            f"'{name}' has shape {array.shape} and type {array.dtype}; expected shape {shape} of "
            f"{_KINDS[kinds[0]]}; make the file again"
        )


def check_archive(path: Path) -> dict[str, Header]:
    """The shape and type of each array of an .npz; refuses arrays that promise more than their entries can hold.

    Raises:
        InputError: names the array, not the file.
        Exception: any error of zipfile and numpy for a damaged file.
    """
    headers = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.file_size > DEFLATE_RATIO * entry.compress_size:
                raise InputError(
                    f"'{entry.filename}' promises {entry.file_size} bytes in {entry.compress_size}; copy it again"
                )
            if entry.filename.endswith(".npy"):
                name = entry.filename.removesuffix(".npy")
                with archive.open(entry) as stream:
                    header = check_size(stream, entry.file_size, name)
                if header is not None:
                    headers[name] = header
    return headers


def check_size(stream: IO[bytes], size: int, name: str = "") -> Header | None:
    """Compares the header of an array with the available bytes; restores the position of the stream if possible.

    Args:
        stream: at the start of an .npy.
        size: its length in bytes.
        name: of the array, for the message.

    Returns:
        Shape and type; None if it is no array.

    Raises:
        InputError: the array is larger than that.
    """
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY":
        # Not an array: numpy raises the error.
        stream.seek(0)
        return None
    stream.seek(0)
    head = io.BytesIO(stream.read(1 << 16))
    version = np.lib.format.read_magic(head)
    read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    needed = dtype.itemsize
    for length in shape:
        needed *= int(length)
    if needed > size - head.tell() and not dtype.hasobject:
        of = f"'{name}' " if name else ""
        raise InputError(
            f"{of}has {size - head.tell()} bytes of values, but its header promises {needed}: {shape}; copy it again"
        )
    stream.seek(0)
    return Header(tuple(int(length) for length in shape), dtype)
