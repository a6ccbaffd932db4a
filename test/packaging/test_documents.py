"""Commands, files and links in the documents exist."""

import re
import shlex
from pathlib import Path

import pytest

from dspdet3d_ros.cli import build_parser

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "dspdet3d_ros/data/MODEL_CARD.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"^```(?:bash|console)\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def commands(document: Path) -> list[str]:
    """The `dspdet3d` commands in a document's blocks, without what a shell or torchrun adds to them."""
    blocks = [block.replace("\\\n", " ") for block in BLOCK.findall(document.read_text(encoding="utf-8"))]
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    lines = [re.sub(r"^torchrun .* -m dspdet3d_ros ", "dspdet3d ", line.removeprefix("scripts/run ")) for line in lines]
    return [re.split(r"\s#|\s[|>&]", line)[0] for line in lines if line.startswith("dspdet3d ")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_is_understood(document: Path):
    parser = build_parser()
    for command in commands(document):
        assert parser.parse_args(shlex.split(command)[1:]).run, command


def test_commands_are_found_in_the_documents():
    assert len(commands(ROOT / "docs" / "generator.md")) >= 6
    assert sum(command.startswith("dspdet3d train ") for command in commands(ROOT / "docs" / "own_objects.md")) >= 1


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_to_one(document: Path):
    for target in LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_script_that_is_named_is_there(document: Path):
    for name in re.findall(r"\bscripts/\w+", document.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name
