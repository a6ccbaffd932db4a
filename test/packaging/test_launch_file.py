"""Without a ROS installation there is no `launch`: what can be read off the file is checked in any case."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILE = ROOT / "launch" / "detector.launch.py"
NEEDED = {"input", "output", "namespace", "params_file", "model", "checkpoint", "device", "pruning_threshold"}


def arguments() -> dict[str, str]:
    """Names and descriptions of the launch arguments, read off the source."""
    for statement in ast.parse(LAUNCH_FILE.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "ARGUMENTS":
            assert isinstance(statement.value, ast.Dict)
            pairs = zip(statement.value.keys, statement.value.values, strict=True)
            return {ast.literal_eval(name): ast.unparse(value.elts[1]) for name, value in pairs}
    raise LookupError("ARGUMENTS")


def test_the_launch_file_compiles():
    compile(LAUNCH_FILE.read_text(encoding="utf-8"), str(LAUNCH_FILE), "exec")


def test_every_argument_is_described():
    assert set(arguments()) >= NEEDED
    assert [name for name, description in arguments().items() if len(description) < 15] == []


def test_launch_describes_the_node():
    pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS installation only")
    specification = importlib.util.spec_from_file_location("detector_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    description = module.generate_launch_description()
    assert {argument.name for argument in description.get_launch_arguments()} == set(arguments())
