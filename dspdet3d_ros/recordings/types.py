"""The types of ROS messages without ROS: those of the library rosbags, with defaults for all fields."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from dspdet3d_ros.errors import missing_package
from dspdet3d_ros.recordings.definitions import DEFINITIONS


@cache
def typestore() -> Any:
    """All messages that ROS 2 has, those of vision_msgs and our own.

    Raises:
        InputError: rosbags is not installed.
    """
    try:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError:
        raise missing_package("recordings", "rosbags") from None
    store = get_typestore(Stores.LATEST)
    for name, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    return store


class MessageTypes:
    """Makes messages: `types.Detection3D(id="7")` has default values for all other fields.

    The attributes are the short names of `names`.

    Args:
        names: full names of the types, such as "vision_msgs/msg/Detection3D".
    """

    def __init__(self, *names: str) -> None:
        self._names = {name.rpartition("/")[2]: name for name in names}

    def __getattr__(self, short: str) -> Callable[..., Any]:
        if short.startswith("_") or short not in self._names:
            raise AttributeError(short)
        return lambda **fields: make(self._names[short], **fields)


def make(name: str, /, **fields: Any) -> Any:
    """A message with default values for the fields that are not given.

    Args:
        name: full name of its type, such as "std_msgs/msg/Header".
        fields: values by name.
    """
    fields = {**_DEFAULTS.get(name, {}), **fields}
    definitions = dict(typestore().fielddefs[name][1])
    if unknown := set(fields) - set(definitions):
        raise TypeError(f"{name} has no field {', '.join(sorted(unknown))}")
    values = {
        field: _in_type(fields[field], definition) if field in fields else _default(definition)
        for field, definition in definitions.items()
    }
    return typestore().types[name](**values)


def _in_type(value: Any, definition: Any) -> Any:
    """The value as rosbags writes it: sequences of numbers are arrays of the right type."""
    from rosbags.interfaces import Nodetype

    node, detail = definition
    if node not in (Nodetype.ARRAY, Nodetype.SEQUENCE):
        return value
    inner, inner_detail = detail[0]
    if inner != Nodetype.BASE or inner_detail[0] in ("string", "wstring"):
        return value
    kind = _NUMBERS[inner_detail[0]]
    is_bytes = isinstance(value, (bytes, bytearray, memoryview))
    return np.frombuffer(value, kind) if is_bytes else np.asarray(value, kind)


def _default(definition: Any) -> Any:
    from rosbags.interfaces import Nodetype

    node, detail = definition
    if node == Nodetype.BASE:
        kind = detail[0]
        return "" if kind in ("string", "wstring") else _NUMBERS[kind](0).item()
    if node == Nodetype.NAME:
        return make(detail)
    (inner, inner_detail), size = detail
    if inner == Nodetype.BASE and inner_detail[0] not in ("string", "wstring"):
        return np.zeros(size if node == Nodetype.ARRAY else 0, _NUMBERS[inner_detail[0]])
    return [_default((inner, inner_detail)) for _ in range(size)] if node == Nodetype.ARRAY else []


#: Defaults of ROS that are not zero, which rosbags does not know.
_DEFAULTS = {"geometry_msgs/msg/Quaternion": {"w": 1.0}}
_NUMBERS: dict[str, Any] = {
    "bool": np.bool_,
    "byte": np.uint8,
    "octet": np.uint8,
    "char": np.uint8,
    "float32": np.float32,
    "float64": np.float64,
    **{
        kind: np.dtype(kind).type for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
}
