"""The tables of faults and of daily use in the documents are complete, and every test that they name is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (\d+|a?[a-z]) \|.*\| `(test/[\w/]+\.py)::(\w+)` \|$", re.M)


def test_every_promise_has_a_test_that_is_there():
    rows = ROW.findall((ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"))
    assert [number for number, _, _ in rows] == [
        *map(str, range(1, 31)),
        *"abcdefghijklmnopqrstuvwxyz",
        *("a" + c for c in "abcdefghijklmnopq"),
    ]
    for _, file, name in rows:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"
