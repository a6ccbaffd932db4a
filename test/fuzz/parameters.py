"""Values for parameters, with what the table in docs/parameters.md allows."""

import math
import re
from functools import cache
from pathlib import Path

from hypothesis import strategies as st
from outcome import Tally, judge

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.ros.parameters.spec import coerce, fault
from dspdet3d_ros.ros.parameters.table import BY_NAME

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parameters.md"
ROW = re.compile(r"^\| `(\w+)` \| ([\w\[\]]+) \| [^|]* \| ([^|]*) \|", re.M)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 400),
    st.floats(),
    st.floats(-0.5, 1.5),
    st.text(max_size=12),
    st.sampled_from(["", "auto", "reliable", "best_effort", "transient_local", "cup"]),
    st.binary(max_size=6),
    st.lists(st.text(max_size=6), max_size=3),
    st.lists(st.integers(-9, 9), max_size=3),
    st.lists(st.floats(), max_size=3),
    st.lists(st.booleans(), max_size=3),
)
CASES = st.tuples(st.sampled_from(sorted(BY_NAME)), VALUES)


@cache
def documented() -> dict[str, tuple[str, str]]:
    """Type and allowed values of each parameter, as the page has them."""
    return {name: (kind, allowed.strip()) for name, kind, allowed in ROW.findall(PAGE.read_text(encoding="utf-8"))}


def allowed(name: str, value: object) -> bool:
    """Whether the page allows a value; an integer does for a double, a text or an empty list for texts."""
    kind, text = documented()[name]
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "string[]":
        listed = [value] if isinstance(value, str) else value
        return isinstance(listed, list) and all(isinstance(item, str) for item in listed)
    if kind == "double[]":
        if value == [""]:
            return True
        numbers = isinstance(value, list) and not any(
            isinstance(item, bool) or not isinstance(item, (int, float)) or not math.isfinite(item) for item in value
        )
        return numbers and str(len(value)) in text.split()
    if kind == "string":
        return isinstance(value, str) and (not text or value in text.split(", "))
    if isinstance(value, bool) or not isinstance(value, int if kind == "integer" else (int, float)):
        return False
    if not text:
        return True
    low, high = text.split("..")
    return math.isfinite(value) and float(low) <= value <= float(high)


def run(tally: Tally, case) -> None:
    """One value for one parameter."""
    name, value = case

    def use():
        spec = BY_NAME[name]
        coerced = coerce(spec, value)
        text = fault(spec, coerced)
        if text:
            raise InputError(text)
        return (coerced,)

    taken = judge(tally, use, name)
    assert (taken is not None) == allowed(name, value), f"{name} {value!r}"
    if taken and isinstance(value, int) and documented()[name][0] == "double":
        assert isinstance(taken[0], float)
        assert taken[0] == value
