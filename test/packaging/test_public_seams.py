"""Tests use what is public: no test reads or replaces a private name of the package."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
#: Private names of Python and of other packages that have no public equivalent.
OF_OTHERS = {
    "_exit",  # os: ends a process without its clean-up
    "_perform_substitutions",  # launch_ros: the names and parameters of a node that is not started
}


def private(name: object) -> bool:
    return isinstance(name, str) and name.startswith("_") and not name.startswith("__") and name not in OF_OTHERS


def private_names(source: str) -> list[str]:
    """Private names that a module takes from other objects or modules, each with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names: list[object] = []
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            names = [] if own else [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function in ("getattr", "setattr", "delattr", "hasattr") and len(node.args) > 1:
                names = [getattr(node.args[1], "value", None)]
        found += [f"line {node.lineno}: {name}" for name in names if private(name)]
    return found


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: str(path.relative_to(TESTS)))
def test_no_test_touches_private_names(path: Path):
    assert not private_names(path.read_text(encoding="utf-8"))


def test_private_names_are_found():
    source = "import os\nfrom a import _b\nnode._c.d()\nmonkeypatch.setattr(e, '_f', 1)\nself._g\nos._exit(0)\n"
    assert sorted(private_names(source)) == ["line 2: _b", "line 3: _c", "line 4: _f"]
