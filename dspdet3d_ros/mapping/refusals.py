"""Inputs that were refused: how many of each kind, and the reasons of the first ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

#: So many refusals of one kind are kept with their texts.
_LISTED = 3


@dataclass
class Refusals:
    """Refused inputs.

    Attributes:
        counts: number of them by kind.
        texts: the reasons of the first ones of each kind.
    """

    counts: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)

    def add(self, kind: str, text: str) -> None:
        """Counts one."""
        self.counts[kind] += 1
        if self.counts[kind] <= _LISTED:
            self.texts.append(text)


def counts_text(counts: Mapping[str, int]) -> str:
    """The counts by kind in one line, or "none"."""
    return ", ".join(f"{number} {kind}" for kind, number in sorted(counts.items())) or "none"
