"""`dspdet3d detect` finds what the detector finds, writes it, and refuses bad input in one line."""

import json

import numpy as np
import pytest
import torch
import yaml

from dspdet3d_ros.cli import main
from dspdet3d_ros.detector.checkpoint import save_checkpoint
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.predictor import Detector

VALUES = {
    "classes": ["cup", "book"],
    "voxel_size": 0.02,
    "widths": [4, 4, 4, 4],
    "blocks": [1, 1, 1, 1],
    "head_width": 4,
    "pruning_threshold": 0.0,
    "score_threshold": 0.0,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Arguments that choose a very narrow network with random weights."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"model": VALUES}))
    torch.manual_seed(0)
    save_checkpoint(folder / "tiny.pth", {"state_dict": DSPDet3D(ModelConfig.from_dict(VALUES)).state_dict()})
    return ["--model", str(folder / "tiny.yaml"), "--checkpoint", str(folder / "tiny.pth"), "--device", "cpu"]


@pytest.fixture
def cloud(tmp_path):
    xyz = np.random.default_rng(0).uniform(0, (1, 1, 0.2), (2000, 3)).astype(np.float32)
    path = tmp_path / "cloud.npz"
    np.savez(path, xyz=xyz, boxes=[[0.5, 0.5, 0.1, 0.2, 0.2, 0.2]], names=["cup"])
    return path


def test_the_boxes_are_those_of_the_detector(cloud, model, tmp_path, capsys):
    out = tmp_path / "new" / "out.json"
    assert main(["detect", str(cloud), *model, "--json", str(out)]) == 0
    values = json.loads(out.read_text())
    expected = Detector.load(model[1], model[3], "cpu")(np.load(cloud)["xyz"])
    assert len(expected) > 0
    np.testing.assert_allclose([d["center"] + d["size"] for d in values["detections"]], expected.boxes, rtol=1e-5)
    assert tuple(d["class"] for d in values["detections"]) == expected.names
    assert values["stamp"] is None
    printed = capsys.readouterr().out
    assert f"{len(expected)} boxes: " in printed
    assert "of 1 objects found" in printed
    assert "2000 of 2000 points" in printed


def test_thresholds_are_taken(cloud, model, tmp_path):
    out = tmp_path / "out.json"
    assert main(["detect", str(cloud), *model, "--tau", "1", "--score", "0.999", "--json", str(out)]) == 0
    values = json.loads(out.read_text())
    assert values["pruning_threshold"] == 1.0
    assert values["detections"] == []
    assert [level["before"] for level in values["stats"]["levels"][1:]] == [0, 0, 0]


def test_a_bin_of_other_columns_is_named_and_read(cloud, model, tmp_path, capsys):
    xyz = np.load(cloud)["xyz"]
    np.column_stack([xyz, np.full(len(xyz), 0.5)]).astype("<f4").tofile(tmp_path / "a.bin")
    assert main(["detect", str(tmp_path / "a.bin"), *model]) == 1
    assert "--columns 4 (x y z intensity, as in KITTI)" in capsys.readouterr().err
    out = tmp_path / "out.json"
    assert main(["detect", str(tmp_path / "a.bin"), "--columns", "4", *model, "--json", str(out)]) == 0
    values = json.loads(out.read_text())
    expected = Detector.load(model[1], model[3], "cpu")(xyz)
    np.testing.assert_allclose([d["center"] + d["size"] for d in values["detections"]], expected.boxes, rtol=1e-5)


@pytest.fixture
def plane(tmp_path):
    """A level plane of 2 x 2 m, a point every 2 cm, as a cloud file; z up, metres."""
    x, y = np.meshgrid(*[np.arange(0, 2, 0.02)] * 2)
    path = tmp_path / "plane.npz"
    np.savez(path, xyz=np.stack([x, y, np.zeros_like(x)], -1).reshape(-1, 3))
    return path


def test_doubts_are_said_and_written(plane, model, tmp_path, capsys):
    out = tmp_path / "out.json"
    assert main(["detect", str(plane), *model, "--json", str(out)]) == 0
    assert json.loads(out.read_text())["doubts"] == []
    assert capsys.readouterr().err == ""
    np.savez(tmp_path / "mm.npz", xyz=np.load(plane)["xyz"] * 1000)
    page = tmp_path / "page.html"
    arguments = ["--json", str(out), "--html", str(page), "--taus", "0"]
    assert main(["detect", str(tmp_path / "mm.npz"), *model, *arguments]) == 0
    (doubt,) = json.loads(out.read_text())["doubts"]
    assert doubt["kind"] == "unit"
    assert "--unit mm" in doubt["text"]
    captured = capsys.readouterr()
    assert captured.err == f"dspdet3d detect: doubtful cloud: {doubt['text']}\n"
    assert "--unit mm" in page.read_text()


def test_the_advice_is_what_makes_the_cloud_usable(plane, model, tmp_path, capsys):
    expected, out = tmp_path / "expected.json", tmp_path / "out.json"
    assert main(["detect", str(plane), *model, "--json", str(expected)]) == 0
    # y points down, as in the frame of a camera.
    xyz = np.load(plane)["xyz"]
    np.savez(tmp_path / "camera.npz", xyz=np.stack([xyz[:, 0], -xyz[:, 2], xyz[:, 1]], axis=1) * 1000)
    camera = [str(tmp_path / "camera.npz"), *model, "--json", str(out)]
    assert main(["detect", *camera, "--unit", "mm"]) == 0
    assert "is y or -y up?" in capsys.readouterr().err
    assert main(["detect", *camera, "--unit", "mm", "--up", "-y"]) == 0
    assert capsys.readouterr().err == ""
    found, wanted = (json.loads(path.read_text())["detections"] for path in (out, expected))
    assert len(found) == len(wanted) > 0
    boxes, of_plane = (np.array([d["center"] + d["size"] for d in part]) for part in (found, wanted))
    np.testing.assert_allclose(boxes, of_plane, atol=1e-4)


def test_a_cloud_beyond_the_range_of_voxels_is_doubted_and_its_points_are_counted(plane, model, tmp_path, capsys):
    np.savez(tmp_path / "huge.npz", xyz=np.load(plane)["xyz"] * 1e6)
    assert main(["detect", str(tmp_path / "huge.npz"), *model]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("dspdet3d detect: doubtful cloud: the cloud spans 1,9")
    assert "points out of range" in captured.out


def test_where_there_are_no_boxes_it_is_said_why(cloud, model, capsys):
    assert main(["detect", str(cloud), *model, "--score", "1", "--tau", "0"]) == 0
    captured = capsys.readouterr()
    assert "0 boxes" in captured.out
    assert captured.err.startswith("dspdet3d detect: no boxes: the best of ")
    assert "--score is 1; " in captured.err
    assert main(["detect", str(cloud), *model, "--score", "1", "--tau", "1"]) == 0
    assert "no boxes: --tau 1 leaves no cell of level 3" in capsys.readouterr().err


def test_only_the_region_of_interest_is_used(cloud, model, tmp_path, capsys):
    xyz, out = np.load(cloud)["xyz"], tmp_path / "out.json"
    inside = (xyz[:, 0] >= 0.25) & (xyz[:, 0] <= 0.75)
    np.savez(tmp_path / "inside.npz", xyz=xyz[inside])
    region = ["--roi", "0.25", "-1", "-1", "0.75", "2", "2"]
    assert main(["detect", str(cloud), *model, *region, "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    outside = len(xyz) - inside.sum()
    assert f"; {outside} points outside the region" in capsys.readouterr().out
    assert (found["stats"]["points_in"], found["stats"]["points_outside_roi"]) == (len(xyz), outside)
    assert main(["detect", str(tmp_path / "inside.npz"), *model, "--json", str(out)]) == 0
    assert json.loads(out.read_text())["detections"] == found["detections"]
    assert main(["detect", str(cloud), *model, "--roi", "5", "5", "5", "6", "6", "6"]) == 0
    assert f"no boxes: all {len(xyz)} points of a cloud are outside the region" in capsys.readouterr().err


def test_fitted_boxes_are_written_with_those_of_the_network(cloud, model, tmp_path):
    out = tmp_path / "out.json"
    assert main(["detect", str(cloud), *model, "--json", str(out)]) == 0
    axes = json.loads(out.read_text())["detections"]
    assert main(["detect", str(cloud), *model, "--box-orientation", "fitted", "--json", str(out)]) == 0
    fitted = json.loads(out.read_text())["detections"]
    assert all(len(item.pop("turned")) == 7 for item in fitted)
    assert fitted == axes


def test_a_picture_is_drawn(cloud, model, tmp_path):
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")
    assert main(["detect", str(cloud), *model, "--png", str(tmp_path / "a.png")]) == 0
    assert image.imread(tmp_path / "a.png").shape[1] == 1600


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["absent.npz"], "absent.npz: no such file"),
        (["CLOUD", "--model", "nonesuch"], "nonesuch"),
        (["CLOUD", "--checkpoint", "nonesuch.pth"], "nonesuch.pth"),
        (["CLOUD", "--device", "cuda:99"], "cuda:99"),
        (["CLOUD", "--json", "CLOUD/out.json"], "cannot be written"),
        (["CLOUD", "--roi", "0", "0", "0", "1", "0", "1"], "--roi X0 Y0 Z0: expected less than X1 Y1 Z1 along y (0)"),
        (["CLOUD", "--roi", "nan", "0", "0", "1", "1", "1"], "--roi: expected a number, got nan"),
    ],
)
def test_bad_input_is_refused_in_one_line(cloud, model, capsys, arguments, text):
    arguments = [argument.replace("CLOUD", str(cloud)) for argument in arguments]
    assert main(["detect", arguments[0], *model, *arguments[1:]]) == 1
    error = capsys.readouterr().err
    assert text in error
    assert error.startswith("dspdet3d detect: ")
    assert error.count("\n") == 1
