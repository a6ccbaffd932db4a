"""`dspdet3d dataset check` finds what is wrong with labels, and draws it."""

import json

import numpy as np
import pytest

from dspdet3d_ros.cli import main
from dspdet3d_ros.learning.datasets.checking import class_faults

BOX = [0.5, 0.5, 0.05, 0.1, 0.1, 0.1]


@pytest.fixture
def folder(tmp_path):
    """A level plane with a cube of points on it."""
    plane = np.stack(np.meshgrid(np.arange(0, 1, 0.01), np.arange(0, 1, 0.01), [0.0]), -1).reshape(-1, 3)
    cube = np.random.default_rng(0).uniform((0.45, 0.45, 0), (0.55, 0.55, 0.1), (300, 3))
    np.savez(tmp_path / "a.npz", xyz=np.concatenate([plane, cube]).astype(np.float32))
    return tmp_path


def check(folder, capsys, objects, *arguments):
    """Exit status, and the lines that are printed."""
    (folder / "boxes.json").write_text(json.dumps([{"scene": "a", "objects": objects}]))
    status = main(["dataset", "check", str(folder), *arguments])
    return status, capsys.readouterr().out.splitlines()


def moved(x, **changes):
    return {"name": "cup", "box": [x, *BOX[1:]]} | changes


def test_good_labels_have_no_faults(folder, capsys):
    status, lines = check(folder, capsys, [moved(0.5)])
    assert status == 0
    assert lines == [
        "note: class 'cup' has 1 objects; label at least 20, better some hundred",
        f"{folder}: 1 scenes, 1 objects, 0 faults, 1 notes",
    ]


@pytest.mark.parametrize(
    ("objects", "text"),
    [
        ([moved(0.5), moved(5.0)], "fault: a: box 1 (cup at 5.00, 0.50, 0.05) holds no point"),
        ([moved(0.5), moved(0.505, name="mug")], "fault: a: box 1 (mug at 0.50, 0.50, 0.05) is box 0 (cup) once more"),
        ([moved(500), moved(510), moved(0.5)], "fault: a: 2 of 3 boxes hold no point: boxes and cloud differ in unit"),
        ([{"name": "cup", "box": [0.5, 0.5, 0, 5, 5, 5]}], "fault: a: box 0 (cup at 0.50, 0.50, 0.00) is 5 m long"),
        (
            [{"name": "cup", "box": [0.505, 0.505, 0, 0.02, 0.02, 0.001]}],
            "note: a: box 0 (cup at 0.50, 0.50, 0.00) holds",
        ),
        ([], "note: a: has no labels; all of it is background"),
    ],
)
def test_each_fault_is_found(folder, capsys, objects, text):
    status, lines = check(folder, capsys, objects)
    assert status == text.startswith("fault")
    assert any(line.startswith(text) for line in lines), lines


def test_a_cloud_in_another_unit_or_axis_is_found(folder, capsys):
    xyz = np.load(folder / "a.npz")["xyz"]
    np.savez(folder / "a.npz", xyz=xyz * 1000)
    status, lines = check(folder, capsys, [moved(0.5)])
    assert status == 1
    assert any("--unit mm" in line for line in lines)
    np.savez(folder / "a.npz", xyz=xyz[:, [0, 2, 1]])
    _, lines = check(folder, capsys, [moved(0.5)])
    assert any("is y or -y up?" in line for line in lines)


def test_doubtful_classes_are_found():
    names = ["mug"] * 1000 + ["book"] * 30 + ["Mug "] * 40
    texts = [fault.text for fault in class_faults(names)]
    assert texts[0].startswith("classes 'Mug ', 'mug' differ in spelling only")
    assert texts[1].startswith("class 'book' has 30 objects, another one has 1000")
    assert len(texts) == 2


def test_scenes_are_drawn(folder, capsys):
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")
    pictures = folder / "new" / "pictures"
    check(folder, capsys, [moved(0.5), moved(0.9)], "--png", str(pictures))
    with_fault = image.imread(pictures / "a.png")
    check(folder, capsys, [moved(0.5)], "--png", str(pictures))
    assert with_fault.shape == image.imread(pictures / "a.png").shape
    assert (with_fault != image.imread(pictures / "a.png")).any()


def test_bad_input_is_refused_in_one_line(tmp_path, capsys):
    assert main(["dataset", "check", str(tmp_path / "absent")]) == 1
    assert "absent: no such folder" in capsys.readouterr().err
    assert main(["dataset", "check", str(tmp_path), "--limit", "0"]) == 1
    assert "--limit" in capsys.readouterr().err
