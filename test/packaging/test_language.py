"""Plain technical English: words that once made a language of its own stay out of texts, docstrings and comments."""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Each with what to write instead.
WORDS = {
    r"things?": "object, or the name of what is meant",
    r"mend(s|ed|ing)?": "fix",
    r"anew": "again",
    r"told": "say who reports what",
    r"beside": "next to, with",
    r"hangs? on": "depends on",
    r"lives? on": "keeps running",
    r"yardstick": "baseline",
    r"befalls?": "happens to",
    r"thereof|therein|wherein": "of it, in it",
}
PATTERN = re.compile(r"\b(" + "|".join(WORDS) + r")\b", re.I)
SOURCES = sorted(
    path
    for folder in ("dspdet3d_ros", "launch", "scripts")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and (path.suffix == ".py" or (folder == "scripts" and not path.suffix))
)
TEXTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "package.xml")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "config").rglob("*.yaml"),
        *(ROOT / "msg").glob("*.msg"),
        *(ROOT / "srv").glob("*.srv"),
        *(ROOT / "dspdet3d_ros").rglob("*.md"),
        *(ROOT / "dspdet3d_ros").rglob("*.yaml"),
    ]
)


def words_of(path: Path) -> list[str]:
    """The texts and comments of Python, line by line; all lines of other files."""
    text = path.read_text(encoding="utf-8")
    if path.suffix not in (".py", "") or text.startswith("#!/usr/bin/env bash") or path.name == "Makefile":
        return text.splitlines()
    lines = []
    kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in kinds:
            lines += [f"line {token.start[0]}: {line.strip()}" for line in token.string.splitlines()]
    return lines


@pytest.mark.parametrize("path", [*SOURCES, *TEXTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_words_of_a_private_language_stay_out(path: Path):
    found = [line for line in words_of(path) if PATTERN.search(line)]
    assert not found, "\n".join(found)


def test_such_words_are_found(tmp_path):
    (tmp_path / "a.py").write_text('def f():\n    """Mends it."""\n    return f"a {1} thing"  # anew\n')
    found = [line for line in words_of(tmp_path / "a.py") if PATTERN.search(line)]
    assert len(found) == 3
