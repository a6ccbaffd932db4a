"""One parameter of a node: its kind, its default, and the values that are allowed.

This module needs no ROS, so that documents can be made anywhere.
"""

from dataclasses import dataclass
from typing import Any

from dspdet3d_ros.validation import Range, mismatch

# kind -> code in rcl_interfaces/msg/ParameterType
KINDS = {"bool": 1, "integer": 2, "double": 3, "string": 4, "double[]": 8, "string[]": 9}
TYPES = {
    "bool": bool,
    "integer": int,
    "double": float,
    "string": str,
    "double[]": tuple[float, ...],
    "string[]": tuple[str, ...],
}


@dataclass(frozen=True)
class Spec:
    """One parameter.

    Attributes:
        name: as in `ros2 param get`.
        kind: one of `KINDS`.
        default: its value if it is not set; for one that is `from_model`, until a model is loaded.
        description: one sentence.
        live: may change at any time; otherwise only while the node is unconfigured.
        low: least value of a number.
        high: greatest value of a number.
        choices: the only strings allowed; empty: any.
        lengths: the lengths of a list that are allowed; empty: any.
        from_model: it takes the value of the loaded model if it is not set.
    """

    name: str
    kind: str
    default: Any
    description: str
    live: bool = False
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()
    from_model: bool = False

    @property
    def range(self) -> Range | None:
        """The allowed range of a number, or None."""
        return None if self.low is None or self.high is None else Range(self.low, self.high)

    @property
    def allowed(self) -> str:
        """The allowed values as text; empty if every value of the kind is allowed."""
        if self.choices:
            return ", ".join(self.choices)
        if self.lengths:
            return f"{' or '.join(map(str, self.lengths))} numbers"
        return self.range.interval if self.range else ""


def coerce(spec: Spec, value: Any) -> Any:
    """The value in the type of the parameter if it means the same: 1 for 1.0, "cup" for ["cup"], [""] for [].

    `ros2 param set` and yaml files send a number without a fraction as an integer, and have no way to write an empty
    list of strings: they send an empty list of another type, or a list of one empty string. A plain `y` reaches a node
    as true.
    """
    if spec.kind == "string" and value is True and "y" in spec.choices:
        return "y"
    if spec.kind == "double":
        return coerce_number(value)
    if spec.kind == "double[]" and not isinstance(value, (str, bytes)) and hasattr(value, "__len__"):
        # An empty list comes as one of any type.
        if len(value) == 0 or list(value) == [""]:
            return []
        return [coerce_number(number) for number in value]
    if spec.kind == "string[]":
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, bytes) and hasattr(value, "__len__"):
            return [] if len(value) == 0 or list(value) == [""] else list(value)
    return value


def coerce_number(value: Any) -> Any:
    """An integer as a float; anything else as it is."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def fault(spec: Spec, value: Any) -> str | None:
    """One line that says why a coerced value is not accepted, or None."""
    plain = tuple(value) if isinstance(value, list) else value
    text = mismatch(plain, TYPES[spec.kind], spec.range, spec.choices)
    if not text and spec.lengths and len(plain) not in spec.lengths:
        text = f"expected {spec.allowed}, got {len(plain)}"
    return f"{spec.name}: {text}" if text else None
