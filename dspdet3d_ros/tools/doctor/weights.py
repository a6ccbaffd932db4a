"""Check of the weights that come with the package."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from dspdet3d_ros.defaults import DATA
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.tools.doctor.finding import Check, Finding, ok, problem, warning

CARD = "MODEL_CARD.md"
# The row of the model card with the file name and its hash.
ROW = re.compile(r"`([\w.-]+\.pth)`.*`([0-9a-f]{64})`")


def weights(data: Path = DATA) -> Iterable[Finding]:
    """The weights of the package: whether they exist, and whether their hashes are those in the model card.

    Args:
        data: folder of the weights and the model card.
    """
    card = data / CARD
    rows = ROW.findall(card.read_text(encoding="utf-8")) if card.is_file() else []
    if not rows:
        yield problem("weights", f"{card} is missing or has no weights", "install the package again")
    for name, wanted in rows:
        yield _weights(data / name, wanted)


def _weights(path: Path, wanted: str) -> Finding:
    """One weight file, and the hash that it should have."""
    if not path.is_file():
        return problem("weights", f"{path} is missing", "install the package again, or set checkpoint to other weights")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found == wanted:
        return ok("weights", f"{path.name}, SHA-256 {found[:12]} as in the model card")
    text = f"{path} has SHA-256 {found[:12]}, the model card says {wanted[:12]}"
    from dspdet3d_ros.detector.checkpoint import read_checkpoint

    try:
        read_checkpoint(path)
    except InputError as error:
        return problem("weights", f"{text}; it cannot be read: {error}", "install the package again")
    return warning("weights", text, "install the package again, unless you replaced the weights")


CHECKS: tuple[tuple[str, Check], ...] = (("weights", weights),)
