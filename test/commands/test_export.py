"""Detections as files of other programs, and the way round: label, train, detect, export, import."""

import csv
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dspdet3d_ros.cli import main
from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.learning.datasets.folders import open_scenes

ROOT = Path(__file__).resolve().parents[2]
FOUND = [
    {"class": "cup", "score": 0.9, "center": [1.0, 2.0, 0.5], "size": [0.1, 0.12, 0.2]},
    {"class": "remote control", "score": 0.4, "center": [0.5, 0.0, 0.1], "size": [0.2, 0.15, 0.02]},
]
TURNED = [0.5, 0.0, 0.1, 0.18, 0.05, 0.02, 0.6]


def results(folder, **changes):
    """A file of JSON lines with one cloud, and one that has no result."""
    record = {"source": {"file": "scans/a.xyz"}, "detections": FOUND} | changes
    path = folder / "detections.jsonl"
    path.write_text(json.dumps(record) + "\n" + json.dumps({"source": {"file": "b.ply"}, "error": "bad"}) + "\n")
    return path


def cloud(folder, xyz):
    folder.mkdir()
    (folder / "a.xyz").write_text("".join(" ".join(map(repr, row)) + "\n" for row in np.asarray(xyz).tolist()))


def test_the_table_has_a_row_for_each_box(tmp_path, capsys):
    detections = [FOUND[0], FOUND[1] | {"turned": TURNED}]
    path = results(tmp_path, detections=detections)
    assert main(["export", str(path), str(tmp_path / "out"), "--format", "csv"]) == 0
    assert "1 files, 2 boxes of 1 clouds; 1 clouds have no result" in capsys.readouterr().out
    with open(tmp_path / "out" / "detections.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["cloud"] for row in rows] == ["scans/a.xyz"] * 2
    assert [row["class"] for row in rows] == ["cup", "remote control"]
    assert float(rows[0]["score"]) == 0.9
    numbers = [[float(row[key]) for key in ("x", "y", "z", "size_x", "size_y", "size_z", "yaw")] for row in rows]
    np.testing.assert_allclose(numbers, [[*FOUND[0]["center"], *FOUND[0]["size"], 0], TURNED], atol=1e-6)


@pytest.mark.parametrize("form", ["labelcloud", "kitti"])
@pytest.mark.parametrize("frame", [("z", "m"), ("z", "mm"), ("y", "cm"), ("-x", "m"), ("-z", "ft")])
def test_label_files_come_back_as_the_same_boxes(tmp_path, form, frame, capsys):
    up, unit = frame
    detections = [FOUND[0], FOUND[1] | {"turned": TURNED}]
    path = results(tmp_path, detections=detections, frame_of_file={"up": up, "unit": unit})
    labels, own = tmp_path / "labels", tmp_path / "own"
    status = main(["export", str(path), str(labels), "--format", form])
    if form == "kitti" and "z" not in up:
        assert status == 1
        assert "z is not vertical in this file" in capsys.readouterr().err
        return
    assert status == 0
    cloud(tmp_path / "clouds", np.random.default_rng(0).uniform(size=(20, 3)))
    arguments = ["--clouds", str(tmp_path / "clouds"), f"--up={up}", "--unit", unit]
    assert main(["dataset", "labels", str(labels), str(own), *arguments]) == 0
    ((entry,),) = [json.loads((own / "boxes.json").read_text())]
    cup, remote = entry["objects"]
    np.testing.assert_allclose(cup["box"], [*FOUND[0]["center"], *FOUND[0]["size"]], atol=2e-4)
    np.testing.assert_allclose(remote["turned"], TURNED, atol=2e-4)
    assert (cup["name"], remote["name"]) == ("cup", "remote_control" if form == "kitti" else "remote control")


def test_boxes_of_a_ply_are_closed_and_where_the_objects_are(tmp_path):
    trimesh = pytest.importorskip("trimesh", reason="trimesh is not installed")
    path = results(tmp_path, detections=[FOUND[1] | {"turned": TURNED}], frame_of_file={"up": "z", "unit": "cm"})
    assert main(["export", str(path), str(tmp_path / "out"), "--format", "ply"]) == 0
    mesh = trimesh.load(tmp_path / "out" / "a.ply")
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(0.18 * 0.05 * 0.02 * 1e6, rel=1e-5)
    np.testing.assert_allclose(mesh.bounds.mean(0), [50, 0, 10], atol=1e-4)
    # It is also a cloud, of the corners.
    assert len(read_cloud(tmp_path / "out" / "a.ply").xyz) == 8


def test_low_scores_are_left_out_and_the_file_of_one_cloud_is_read(tmp_path, capsys):
    path = tmp_path / "found.json"
    path.write_text(json.dumps({"detections": FOUND}, indent=2))
    assert main(["export", str(path), str(tmp_path / "out"), "--format", "labelcloud", "--score", "0.5"]) == 0
    assert [item["name"] for item in json.loads((tmp_path / "out" / "found.json").read_text())["objects"]] == ["cup"]
    assert json.loads((tmp_path / "out" / "_classes.json").read_text())["format"] == "centroid_rel"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "no such file"),
        ("{", "expected what `dspdet3d detect` writes"),
        ("3", "line 1: expected an object, got '3'"),
        ("{}", "line 1: detections: expected a list of objects"),
        (json.dumps({"detections": [FOUND[0] | {"size": [1, 1, 0]}]}), "line 1: detection 0: expected positive sizes"),
        (
            json.dumps({"detections": [FOUND[0] | {"score": "high"}]}),
            "line 1: detection 0, score: expected a number, got 'high'",
        ),
        (
            json.dumps({"detections": [FOUND[0] | {"turned": [1, 2]}]}),
            "line 1: detection 0, turned: expected 7 numbers",
        ),
        (
            json.dumps({"detections": [], "frame_of_file": {"up": "up", "unit": "m"}}),
            "line 1: up: expected one of x, y",
        ),
        ('{"detections": []}\n{"detections": []}\n', "two clouds are called found"),
    ],
)
def test_bad_results_are_refused_in_one_line(tmp_path, capsys, content, text):
    path = tmp_path / "found.json"
    if content is not None:
        path.write_text(content)
    assert main(["export", str(path), str(tmp_path / "out"), "--format", "csv"]) == 1
    error = capsys.readouterr().err
    assert f"{path}: {text}" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def blocks(document):
    """The bash blocks of a document."""
    return re.findall(r"^```bash\n(.*?)^```", (ROOT / "docs" / document).read_text(encoding="utf-8"), re.M | re.S)


def test_the_way_from_clouds_to_weights_and_back_is_as_the_document_says(tmp_path):
    pytest.importorskip("tensorboard", reason="training logs need TensorBoard, which is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    (tmp_path / "dspdet3d_ros").symlink_to(ROOT / "dspdet3d_ros")
    wanted = [block for block in blocks("own_objects.md") if "ros2 " not in block and " evaluate " not in block]
    script = "set -eu\n" + "\n".join(wanted).replace("--iterations 1000", "--iterations 2")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert (tmp_path / "pictures" / "demo.png").is_file()
    assert (tmp_path / "runs" / "mine" / "weights.pth").is_file()
    found = json.loads((tmp_path / "found2" / "detections.jsonl").read_text())["detections"]
    (scene,) = open_scenes(tmp_path / "own2")
    assert len(found) == len(scene.boxes) > 0
    boxes = [[*item["center"], *item["size"]] for item in found]
    np.testing.assert_allclose(scene.boxes, boxes, atol=1e-4)
    assert scene.names == tuple(item["class"] for item in found)
    export = [line for block in blocks("files.md") for line in block.splitlines() if line.startswith("dspdet3d export")]
    assert len(export) == 4
    done = subprocess.run(["bash", "-c", "\n".join(["set -eu", *export])], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
