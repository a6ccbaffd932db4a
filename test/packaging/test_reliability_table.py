"""The table of faults in the documents is complete, and every test that it names is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_AND_STOP = re.compile(r"^\| \D.*\| `(test/[\w/]+\.py)::(\w+)` \|$", re.M)
ROW = re.compile(r"^\| (\d+) \|.*\| `(test/[\w/]+\.py)::(\w+)` \|$", re.M)


def test_every_fault_has_a_test_that_is_there():
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = ROW.findall(text)
    assert [int(number) for number, _, _ in rows] == list(range(1, 31))
    others = START_AND_STOP.findall(text)
    assert others
    for file, name in [*(row[1:] for row in rows), *others]:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"
