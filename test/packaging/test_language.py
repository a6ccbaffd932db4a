"""Plain technical English: some words and forms are kept out of texts, docstrings, comments and names of tests."""

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
WORD = re.compile(r"\b(" + "|".join(WORDS) + r")\b", re.I)
#: A docstring says what an object is or does; it does not begin with one of these question words.
QUESTION = re.compile(r'^[rf]*"""(What|How|Where|Which|Who|Whose|When) ')
SOURCES = sorted(
    path
    for folder in ("dspdet3d_ros", "launch", "scripts", "test")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path != Path(__file__) and (path.suffix == ".py" or (folder == "scripts" and not path.suffix))
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
    """The texts, comments and names of tests of Python, line by line; all lines of other files."""
    text = path.read_text(encoding="utf-8")
    if path.suffix not in (".py", "") or text.startswith("#!/usr/bin/env bash") or path.name == "Makefile":
        return text.splitlines()
    lines = []
    kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string.startswith("test_"):
            lines.append(f"line {token.start[0]}: {token.string.replace('_', ' ')}")
        if token.type in kinds:
            lines += [f"line {token.start[0]}: {line.strip()}" for line in token.string.splitlines()]
    return lines


def faults_of(path: Path) -> list[str]:
    return [line for line in words_of(path) if WORD.search(line) or QUESTION.search(line.partition(": ")[2])]


@pytest.mark.parametrize("path", [*SOURCES, *TEXTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_the_language_is_plain(path: Path):
    assert not faults_of(path)


def test_such_words_and_forms_are_found(tmp_path):
    source = 'def test_it_is_told():\n    """What mends it."""\n    return f"a {1} thing"  # anew\n'
    (tmp_path / "a.py").write_text(source)
    assert len(faults_of(tmp_path / "a.py")) == 4
    (tmp_path / "a.py").write_text('def f():\n    """What it does."""\n    """It does what it says."""\n')
    assert len(faults_of(tmp_path / "a.py")) == 1
