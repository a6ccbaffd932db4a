"""Pickles of plain values and numpy arrays, read without running anything that they name.

A pickle may name any importable function to be called with arguments of its choice. Here the few names that arrays need
stand for functions of this module, which check what they are given; every other name is refused. Numpy's own functions
are not called either: given forged array headers they can be made to write where they should not.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dspdet3d_ros.errors import InputError, no_such_file, text_of

#: A pickle of a few bytes can stand for billions of values; an honest one repeats whole lists seldom.
MOST_VALUES_A_BYTE = 16

_DTYPE = re.compile(r"[biufSU][1-9]\d{0,5}")


def read_plain_pickle(path: str | Path) -> Any:
    """The contents of a pickle: None, bool, int, float, str, bytes, list, tuple, dict, set, numpy arrays and scalars.

    Args:
        path: a pickle of any protocol; of arrays only those of numbers, booleans, texts or such plain values.

    Raises:
        InputError: there is no such file, it is damaged, or it names something else.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        _check_numbers(data)
        value = _settled(_PlainUnpickler(io.BytesIO(data)).load())
        _expanded(value, MOST_VALUES_A_BYTE * len(data), {})
        return value
    except FileNotFoundError:
        raise no_such_file(path) from None
    except _RefusedError as error:
        raise InputError(
            f"{path}: expected plain values and numpy arrays, refused {error}; save it again with nothing else"
        ) from None
    except Exception as error:
        # A damaged pickle makes the parser raise anything.
        raise InputError(f"{path}: cannot be read as a pickle: {text_of(error)}; copy or make it again") from None


_IN_WORK = object()


def _check_numbers(data: bytes) -> None:
    """Refuses numbers in a pickle that would make the unpickler allocate more than the file can hold.

    pickletools refuses lengths beyond the end of the data by itself, with a ValueError.
    """
    for opcode, argument, _ in pickletools.genops(data):
        # The unpickler's memo is a table as long as the greatest number used.
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and (argument or 0) > len(data):
            raise _RefusedError(f"the memo number {argument}")


def _expanded(value: Any, most: int, known: dict[int, int]) -> int:
    """The number of values, if values that occur in many places are counted each time."""
    if not isinstance(value, (dict, list, tuple)):
        return 1
    if id(value) not in known:
        parts = (part for item in value.items() for part in item) if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_expanded(part, most, known) for part in parts)
    if known[id(value)] > most:
        raise _RefusedError("few values that stand for very many")
    return known[id(value)]


class _RefusedError(Exception):
    """A pickle names what it must not."""


class _Maker:
    """Something that a pickle may call. It has no state that a pickle could change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, _: Any) -> None:
        raise _RefusedError("a change of a function")


class _DType:
    """A numpy type in the making: the pickle gives its code, then its byte order."""

    def __init__(self, code: str) -> None:
        self._code, self._order = code, "|"

    def __setstate__(self, state: tuple) -> None:
        if any(part is not None for part in state[2:5]) or state[1] not in ("<", ">", "|", "="):
            raise _RefusedError("an array of records")
        self._order = state[1]

    @property
    def of_objects(self) -> bool:
        return self._code == "O8"

    def resolved(self) -> np.dtype:
        if not _DTYPE.fullmatch(self._code):
            raise _RefusedError(f"an array of type {self._code[:20]!r}")
        return np.dtype(self._order + self._code)


class _Array:
    """A numpy array in the making; `_settled` puts the finished one in its place."""

    def __init__(self) -> None:
        self.value: Any = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        if dtype.of_objects:
            # Plain values; checked as such because they came out of the same pickle.
            if not isinstance(data, list) or len(shape) != 1 or len(data) != shape[0]:
                raise _RefusedError("an array of objects with more than one axis")
            self.value = data
        else:
            self.value = _from_bytes(data, dtype, shape, "F" if fortran else "C")


def _from_bytes(data: Any, dtype: _DType, shape: tuple[int, ...], order: Literal["C", "F"]) -> np.ndarray:
    if isinstance(data, str):
        data = data.encode("latin1")
    flat = np.frombuffer(bytes(data), dtype.resolved()) if data else np.empty(0, dtype.resolved())
    return flat.reshape(shape, order=order)


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _RefusedError(f"the encoding {encoding!r}")
    return text.encode("latin1")


def _no_bytes(*args: Any) -> bytes:
    if args:
        raise _RefusedError("bytes made of other values")
    return b""


def _makers() -> dict[tuple[str, str], _Maker]:
    array = _Maker(lambda *_: _Array())
    scalar = _Maker(lambda dtype, data: _from_bytes(data, dtype, (1,), "C")[0])
    buffer = _Maker(lambda data, dtype, shape, order, *_: _from_bytes(data, dtype, shape, order))
    makers = {
        ("numpy", "ndarray"): array,
        ("numpy", "dtype"): _Maker(lambda code, *_: _DType(code)),
        ("_codecs", "encode"): _Maker(_latin1),
    }
    for numpy in ("numpy.core", "numpy._core"):
        makers[f"{numpy}.multiarray", "_reconstruct"] = array
        makers[f"{numpy}.multiarray", "scalar"] = scalar
        makers[f"{numpy}.numeric", "_frombuffer"] = buffer
    for builtins in ("builtins", "__builtin__"):
        makers[builtins, "set"] = _Maker(lambda items=(): set(items))
        makers[builtins, "frozenset"] = _Maker(lambda items=(): frozenset(items))
        makers[builtins, "bytes"] = _Maker(_no_bytes)
    return makers


_MAKERS = _makers()


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> _Maker:
        if (module, name) not in _MAKERS:
            raise _RefusedError(f"{module}.{name}")
        return _MAKERS[module, name]


def _settled(value: Any, done: dict[int, Any] | None = None) -> Any:
    """The value with finished arrays in place of those in the making; what occurs many times is finished once."""
    done = {} if done is None else done
    if isinstance(value, (_Maker, _DType)):
        raise _RefusedError("a bare function or type")
    if not isinstance(value, (dict, list, tuple, _Array)):
        return value
    if id(value) not in done:
        done[id(value)] = _IN_WORK
        done[id(value)] = _finished(value, done)
    if done[id(value)] is _IN_WORK:
        raise _RefusedError("a value that contains itself")
    return done[id(value)]


def _finished(value: Any, done: dict[int, Any]) -> Any:
    if isinstance(value, _Array):
        return _settled(value.value, done)
    if isinstance(value, dict):
        return {_settled(key, done): _settled(item, done) for key, item in value.items()}
    return type(value)(_settled(item, done) for item in value)
