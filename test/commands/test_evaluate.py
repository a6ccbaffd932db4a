"""`dspdet3d evaluate` on data sets of each format, with a network of random weights."""

import json
import pickle

import numpy as np
import pytest
import torch

from dspdet3d_ros.cli import main
from dspdet3d_ros.datasets.classes import scannet_md40
from dspdet3d_ros.detector.checkpoint import save_checkpoint
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.predictor import Detector

BOXES = [[0.5, 0.5, 0.1, 0.3, 0.3, 0.2], [-0.5, 0.0, 0.1, 0.1, 0.1, 0.2]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    shape = {"widths": (4, 4, 4, 4), "blocks": (1, 1, 1, 1), "head_width": 4}
    config = ModelConfig(classes=scannet_md40().classes, voxel_size=0.06, nms_pre=80, **shape)
    network = DSPDet3D(config, initial_size=0.2)
    torch.nn.init.normal_(network.head.cls_conv.kernel, std=0.5)
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    save_checkpoint(path, {"state_dict": network.state_dict(), "model": config.to_dict()})
    return path


def points(seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform([-0.6, -0.6, 0], [0.6, 0.6, 0.2], (300, 3))


@pytest.fixture
def scannet(tmp_path):
    folder = tmp_path / "scannet"
    (folder / "points").mkdir(parents=True)
    ids = [scannet_md40().classes.index(name) for name in ("chair", "cup")]
    infos = []
    for number in range(2):
        np.column_stack([points(number), np.zeros((300, 3))]).astype("<f4").tofile(folder / "points" / f"{number}.bin")
        annos = {"gt_num": 2, "gt_boxes_upright_depth": np.array(BOXES), "class": np.array(ids)}
        annos["name"] = np.array(["chair", "cup"])
        infos.append({"pts_path": f"points/{number}.bin", "annos": annos})
    (folder / "scannet_infos_val.pkl").write_bytes(pickle.dumps(infos))
    return folder


@pytest.fixture
def indexed(tmp_path):
    folder = tmp_path / "clouds"
    folder.mkdir()
    entries = []
    for number, subset in enumerate(("boxes", "piles")):
        np.savez(folder / f"s{number}.npz", xyz=points(number))
        entries.append({"scene": f"s{number}", "subset": subset, "objects": [{"box": box} for box in BOXES]})
    (folder / "boxes.json").write_text(json.dumps(entries))
    return folder


def evaluate(folder, checkpoint, *more):
    out = folder.parent / "out" / "figures.json"
    arguments = ["evaluate", str(folder), "--checkpoint", str(checkpoint), "--device", "cpu", "--json", str(out)]
    assert main([*arguments, *more]) == 0
    return json.loads(out.read_text())


def test_a_named_data_set_has_figures_by_class_and_for_small_ones(scannet, checkpoint, capsys):
    values = evaluate(scannet, checkpoint, "--tau", "0.1", "--limit", "2")
    assert values["scenes"] == 2
    assert {name: part["objects"] for name, part in values["classes"].items()} == {"chair": 2, "cup": 2}
    assert set(values["means"]) == {"all", "small", "other"}
    assert values["small_classes"] == ["cup"]
    assert values["pruning_threshold"] == 0.1
    assert set(values["median_cells"]) == {"level3", "level2", "level1", "level0"}
    assert values["median_ms"] > 0
    assert len(values["checkpoint_sha256"]) == 64
    assert "mean, 1 small classes" in capsys.readouterr().out


def test_a_data_set_without_names_is_judged_whatever_the_class_and_by_subset(indexed, checkpoint):
    values = evaluate(indexed, checkpoint)
    assert values["agnostic"]["objects"] == 4
    assert set(values["subsets"]) == {"boxes", "piles"}
    assert (values["classes"], values["means"]) == ({}, {})
    assert evaluate(indexed, checkpoint, "--limit", "1")["agnostic"]["objects"] == 2


def test_every_box_above_the_least_score_is_judged(indexed, checkpoint):
    values = evaluate(indexed, checkpoint, "--tau", "0", "--score", "0.01", "--limit", "1")
    detector = Detector.load(checkpoint=checkpoint, device="cpu")
    settings = detector.default_settings()
    found = detector(np.load(indexed / "s0.npz")["xyz"], type(settings)(0.0, 0.01, settings.nms_iou_threshold, 10**6))
    summary = values["agnostic"]
    assert summary["found_at_threshold"] + summary["false_at_threshold"] == len(found)


def test_overlap_in_plan_as_the_original_measures_it_can_be_asked_for(indexed, checkpoint):
    counts = []
    for overlap in ("3d", "plan_view"):
        values = evaluate(indexed, checkpoint, "--overlap", overlap, "--tau", "0", "--score", "0.01")
        assert values["nms_overlap"] == overlap
        counts.append(sum(values["agnostic"][key] for key in ("found_at_threshold", "false_at_threshold")))
    assert counts[0] > counts[1] > 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["--tau", "2"], "--tau"), (["--score", "nan"], "--score"), (["--limit", "0"], "--limit")],
)
def test_settings_out_of_range_are_refused_in_one_line(tmp_path, capsys, arguments, word):
    assert main(["evaluate", str(tmp_path), *arguments]) == 1
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1


def test_a_folder_without_scenes_is_named(tmp_path, checkpoint, capsys):
    assert main(["evaluate", str(tmp_path / "none"), "--checkpoint", str(checkpoint), "--device", "cpu"]) == 1
    assert "no such folder" in capsys.readouterr().err
