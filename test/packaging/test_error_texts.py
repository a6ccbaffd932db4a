"""Every message that a user can cause says what to do about it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "dspdet3d_ros"
ERRORS = {"InputError", "FrameError", "Remark"}
#: Puts the field or the file in front of a message that says the rest: its source, or what fills the last place.
WRAPPERS = re.compile(r"(model|checkpoint|parameter|the model's own|--node:)? ?(\{[^{}]*\}(: |:=)?(line )?)+$")


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each error that a file raises; what is filled in stands in braces."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS and node.args:
            yield node.lineno, text(node.args[-1])


def text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "{…}" for v in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else "{…}"


def says_what_to_do(message: str) -> bool:
    """Whether it ends with what to do, or with what a setting may be and what it was."""
    return "; " in message or ("expected" in message and "got" in message) or bool(WRAPPERS.match(message))


FILES = sorted(path for path in PACKAGE.rglob("*.py") if any(messages(path)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_message_says_what_to_do(path: Path) -> None:
    silent = [f"line {line}: {message}" for line, message in messages(path) if not says_what_to_do(message)]
    assert not silent


def test_the_check_tells_silent_messages() -> None:
    assert len(FILES) > 30
    assert not says_what_to_do("{…}: no such file")
    assert not says_what_to_do("{…}: expected a mapping")
    assert not says_what_to_do("checkpoint {…}: {…} is wrong")
    assert says_what_to_do("{…}: expected a mapping, got {…}")
    assert says_what_to_do("{…}: not readable as json: {…}; copy it again")
    assert says_what_to_do("parameter {…}")
