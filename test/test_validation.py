"""Values are checked by type and range, with one wording for settings, arguments and parameters."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.validation import NOT_NEGATIVE, POSITIVE, SHARE, Range, check_fields, mismatch, settings_of

RANGES = {"share": Range(0, 1), "pair": POSITIVE, "count": NOT_NEGATIVE}


@dataclass(frozen=True)
class Some:
    names: tuple[str, ...]
    share: float = 0.5
    count: int = 3
    fast: bool = False
    pair: tuple[int, int] = (1, 2)
    place: str | None = None

    def __post_init__(self) -> None:
        check_fields(self, RANGES)


def test_plain_values_become_settings():
    values = {"names": ["a", "b"], "share": 1, "count": 0, "fast": True, "pair": [3, 4], "place": "here"}
    assert settings_of(Some, values) == Some(("a", "b"), 1, 0, True, (3, 4), "here")
    assert settings_of(Some, {"names": []}) == Some(())


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "names: missing; add a list of non-empty texts"),
        ({"names": [], "name": 3}, "name: unknown key; known are count, fast, names, pair, place, share"),
        ({"names": [], None: 3, "name": 3}, "None: unknown key; known are"),
        ({"names": "ab"}, "names: expected a list of non-empty texts, got 'ab'"),
        ({"names": ["a", ""]}, "names: expected a list of non-empty texts, got ['a', '']"),
        ({"names": [], "share": 1.5}, "share: expected a number in 0..1, got 1.5"),
        ({"names": [], "share": True}, "share: expected a number in 0..1, got True"),
        ({"names": [], "share": float("nan")}, "share: expected a number in 0..1, got nan"),
        ({"names": [], "share": None}, "share: expected a number in 0..1, got None"),
        ({"names": [], "count": 2.0}, "count: expected an integer of at least 0, got 2.0"),
        ({"names": [], "count": -1}, "count: expected an integer of at least 0, got -1"),
        ({"names": [], "count": 10**400}, "count: expected an integer of at least 0, got 1000"),
        ({"names": [], "fast": "no"}, "fast: expected true or false, got 'no'"),
        ({"names": [], "fast": 1}, "fast: expected true or false, got 1"),
        ({"names": [], "pair": [1]}, "pair: expected a list of 2 integers above 0, got [1]"),
        ({"names": [], "pair": [1, 0]}, "pair: expected a list of 2 integers above 0, got [1, 0]"),
        ({"names": [], "place": 3}, "place: expected non-empty text or nothing, got 3"),
    ],
)
def test_an_error_names_the_field_the_expected_and_the_received_value(values, text):
    with pytest.raises(InputError) as error:
        settings_of(Some, values)
    assert str(error.value).startswith(text)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("value", "kind", "allowed", "choices", "text"),
    [
        (1, float, SHARE, (), None),
        (2.0, float, SHARE, (), "expected a number in 0..1, got 2.0"),
        (0, int, Range(1, 2**31 - 1), (), "expected an integer in 1..2147483647, got 0"),
        (float("-inf"), float, None, (), "expected a number, got -inf"),
        (-1, int, NOT_NEGATIVE, (), "expected an integer of at least 0, got -1"),
        (0, float, POSITIVE, (), "expected a number above 0, got 0"),
        ("", str, None, (), None),
        (3, str, None, (), "expected text, got 3"),
        ("fast", str, None, ("auto", "slow"), "expected auto or slow, got 'fast'"),
        (7, str, None, ("auto", "slow", "off"), "expected auto, slow or off, got 7"),
        (("a", ""), tuple[str, ...], None, (), None),
        (("a", 1), tuple[str, ...], None, (), "expected a list of texts, got ['a', 1]"),
    ],
)
def test_a_single_value_fits_or_the_text_says_why_not(value, kind, allowed, choices, text):
    assert mismatch(value, kind, allowed, choices) == text
