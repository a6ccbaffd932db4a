"""Allowed outcomes of a case: a correct result or a refusal, with no more memory than it justifies."""

import re
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dspdet3d_ros.errors import InputError

# Of a case of a few kilobytes: far above what parsers need, far below what a false size in a header could cost.
MOST_BYTES = 16 << 20
MOST_SECONDS = 30.0
ACCEPTED = "accepted"


@dataclass
class Tally:
    """Outcomes of the cases of one target."""

    cases: int = 0
    outcomes: Counter = field(default_factory=Counter)
    seconds: float = 0.0
    most_bytes: int = 0

    def figures(self, seconds: float) -> dict[str, Any]:
        """Its figures in a report.

        Args:
            seconds: that the run took.
        """
        refused = Counter(self.outcomes)
        accepted = refused.pop(ACCEPTED, 0)
        return {
            "cases": self.cases,
            "accepted": accepted,
            "refused": dict(refused.most_common()),
            "seconds": round(seconds, 1),
            "most_bytes_allocated": self.most_bytes,
        }


def judge(tally: Tally, use: Callable[[], Any], names: str = "") -> Any:
    """Runs one case; its result, or None if it was refused.

    Args:
        tally: counts the case.
        use: the code under test.
        names: what the text of a refusal must hold, such as the file's name.

    Raises:
        AssertionError: a refusal that does not say what is wrong in one line, or more memory or time than allowed.
        Exception: whatever else the code raises is a fault of it.
    """
    # Of this process alone: what else the machine does is no fault of the case.
    start = time.process_time()
    tracemalloc.start()
    result, outcome = None, ACCEPTED
    try:
        result = use()
    except InputError as error:
        text = str(error)
        assert text, "an empty refusal"
        assert text.isprintable(), f"not one line: {text!r}"
        assert names in text, f"{names} is not named: {text}"
        outcome = kind(text.replace(names, "") if names else text)
    finally:
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    seconds = time.process_time() - start
    tally.cases += 1
    tally.outcomes[outcome] += 1
    tally.seconds += seconds
    tally.most_bytes = max(tally.most_bytes, used)
    assert used <= MOST_BYTES, f"{used} bytes for one small case ({outcome})"
    assert seconds <= MOST_SECONDS, f"{seconds:.0f} s for one small case ({outcome})"
    return result


def kind(text: str) -> str:
    """A refusal without what differs from case to case: quoted parts, numbers, and what a library adds."""
    text = re.sub(r"\S*/\S*", "", text)
    text = re.sub(r"(cannot be read as \S+|damaged or holds code|truncated or damaged):.*", r"\1", text)
    text = re.sub(r"'[^']*'|\"[^\"]*\"|\([^)]*\)", "…", text)
    text = re.sub(r"-?\d[\d.e+]*|\bnan\b|-?\binf\b", "N", text)
    return " ".join(text.split()).strip(": ")[:60]
