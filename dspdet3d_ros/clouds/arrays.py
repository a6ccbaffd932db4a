"""Numpy's .npy and .npz files, read without believing what their headers say of sizes."""

import io
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from dspdet3d_ros.errors import InputError

# No byte of a deflated entry stands for more.
DEFLATE_RATIO = 1032


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file.

    Raises:
        InputError: its header promises more than the file holds; the text does not name the file.
        Exception: whatever numpy raises for a damaged file.
    """
    with open(path, "rb") as stream:
        check_size(stream, os.fstat(stream.fileno()).st_size)
        return np.load(stream, allow_pickle=False)


def check_archive(path: Path) -> None:
    """Refuses an .npz whose arrays promise more than its entries can hold.

    Raises:
        InputError: names the array, not the file.
        Exception: whatever zipfile and numpy raise for a damaged file.
    """
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.file_size > DEFLATE_RATIO * entry.compress_size:
                raise InputError(f"'{entry.filename}' promises {entry.file_size} bytes in {entry.compress_size}")
            if entry.filename.endswith(".npy"):
                with archive.open(entry) as stream:
                    check_size(stream, entry.file_size, entry.filename.removesuffix(".npy"))


def check_size(stream: IO[bytes], size: int, name: str = "") -> None:
    """Compares the header of an array with the bytes there are; puts the stream back to its start where it can.

    Args:
        stream: at the start of an .npy.
        size: its length in bytes.
        name: of the array, for the message.

    Raises:
        InputError: the array is larger than that.
    """
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY":
        # Not an array: numpy says so.
        stream.seek(0)
        return
    stream.seek(0)
    head = io.BytesIO(stream.read(1 << 16))
    version = np.lib.format.read_magic(head)
    read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    needed = dtype.itemsize
    for length in shape:
        needed *= int(length)
    if needed > size - head.tell():
        of = f"'{name}' " if name else ""
        raise InputError(f"{of}has {size - head.tell()} bytes of values, but its header promises {needed}: {shape}")
    stream.seek(0)
