"""What a user should know about input that was used all the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """One remark.

    Attributes:
        kind: a short key, by which remarks of the same sort are counted as one.
        text: one line that says what was seen, with numbers, and what to do.
    """

    kind: str
    text: str
