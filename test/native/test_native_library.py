"""The C library by itself: against definitions, under sanitizers, and on ARM where that can be emulated."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dspdet3d_ros.native.build import FLAGS, SOURCES, BuildError, compiler

CHECK = Path(__file__).parent / "check.c"
LIMIT_S = 300
KINDS = {
    "plain": ["-O2"],
    "address and undefined": ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-O1", "-g", "-fsanitize=thread"],
}
ARM = ("aarch64-linux-gnu-gcc", "qemu-aarch64")


def command_of_compiler():
    try:
        return compiler()
    except BuildError as error:
        pytest.skip(str(error))


def program(command, flags, folder):
    """The check, compiled; skips where the compiler lacks a sanitizer's library."""
    made = folder / "check"
    own = [flag for flag in FLAGS if flag not in ("-O3", "-shared", "-fPIC", "-fvisibility=hidden")]
    sources = [*map(str, sorted(SOURCES.glob("*.c"))), str(CHECK)]
    line = [*command, *own, "-Werror", *flags, f"-I{SOURCES}", *sources, "-lm", "-o", str(made)]
    result = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S)
    if result.returncode and "cannot find" in result.stderr:
        pytest.skip(f"the compiler cannot link: {result.stderr.strip().splitlines()[-2]}")
    assert result.returncode == 0, result.stderr
    return made


def run(command):
    # Memory is laid out as the sanitizers expect it, whatever the kernel's setting.
    fixed = ["setarch", "-R"] if shutil.which("setarch") else []
    environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1", "LD_PRELOAD": ""}
    result = subprocess.run([*fixed, *command], capture_output=True, text=True, timeout=LIMIT_S, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_every_function_does_as_defined(kind, tmp_path):
    lines = run([program(command_of_compiler(), KINDS[kind], tmp_path)])
    assert "scalar ok" in lines


def test_neon_does_as_defined(tmp_path):
    missing = [tool for tool in ARM if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed (apt install gcc-aarch64-linux-gnu qemu-user)")
    made = program([ARM[0]], ["-O2", "-static"], tmp_path)
    result = subprocess.run([ARM[1], str(made)], capture_output=True, text=True, timeout=LIMIT_S)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["scalar ok", "neon ok"]
