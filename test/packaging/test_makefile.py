import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def make(*arguments: str) -> str:
    # What a make that runs the tests hands down would change what this one prints.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"}
    result = subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_help_is_the_default_and_lists_every_target():
    listing = make()
    phony = next(
        line for line in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines() if line.startswith(".PHONY:")
    )
    for target in phony.removeprefix(".PHONY:").split():
        assert f"make {target} " in listing


def test_the_demo_takes_a_cloud_of_the_user():
    assert "'my cloud.ply'" in make("-n", "demo", "CLOUD=my cloud.ply")


def test_the_demo_takes_the_columns_of_a_bin():
    assert "'a.bin' --columns 4" in make("-n", "demo", "CLOUD=a.bin", "BIN_COLUMNS=4")


def test_the_demo_takes_axis_and_unit_of_a_cloud():
    assert "'a.ply'  --up='-y' --unit 'mm'" in make("-n", "demo", "CLOUD=a.ply", "UP=-y", "UNIT=mm")
    assert "--u" not in make("-n", "demo", "CLOUD=a.ply").rpartition("demo --out")[2]


def test_another_torch_reaches_the_set_up():
    assert "--torch 'torch>=2.4,<2.6'" in make("-n", "setup", "TORCH=torch>=2.4,<2.6")


def test_the_length_of_long_runs_is_a_variable():
    assert "--minutes 3" in make("-n", "soak", "MINUTES=3")
    assert "--minutes 3" in make("-n", "load", "MINUTES=3")
    assert "--cases 500" in make("-n", "fuzz", "CASES=500")
