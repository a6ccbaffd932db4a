"""The run along the readers' branches: its bytes stand for messages, and it says how to get what it needs."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("hypothesis", reason="hypothesis is not installed")

import guided
import packed

FUZZ = Path(guided.__file__).parent


def test_bytes_stand_for_the_message_that_was_packed():
    examples = packed.examples(30)
    assert len(examples) >= 20
    assert len(set(examples)) > 10
    for data in examples:
        assert packed.pack(packed.unpack(data)) == data


def test_any_bytes_are_a_message():
    for data in (b"", b"\xff" * 40, bytes(range(200))):
        assert 0 <= len(packed.unpack(data).fields) <= packed.MOST_FIELDS


def run(out, *options):
    command = [sys.executable, str(FUZZ), "--out", str(out), "--guided", "2", "--only", "PointCloud2", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(guided.installed(), reason="atheris is installed")
def test_without_atheris_it_says_how_to_install_it(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 0
    assert done.stdout.strip() == f"skipped: {guided.INSTALL}"


@pytest.mark.skipif(not guided.installed(), reason=guided.INSTALL)
def test_the_decoder_holds_along_its_branches(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 targets failed" in done.stdout
