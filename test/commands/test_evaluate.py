"""`dspdet3d evaluate` on data sets of each format, with a network of random weights."""

import json

import numpy as np

from dspdet3d_ros.cli import main
from dspdet3d_ros.detector.predictor import Detector


def evaluate(folders, checkpoint, *more):
    folders = folders if isinstance(folders, tuple) else (folders,)
    out = folders[0].parent / "out" / "figures.json"
    arguments = ["evaluate", *map(str, folders), "--checkpoint", str(checkpoint), "--device", "cpu", "--json", str(out)]
    assert main([*arguments, *more]) == 0
    return json.loads(out.read_text())


def test_a_named_data_set_has_figures_by_class_and_for_small_ones(scannet, checkpoint, capsys):
    values = evaluate(scannet, checkpoint, "--tau", "0.1", "--limit", "2")
    assert values["scenes"] == 2
    assert {name: part["objects"] for name, part in values["classes"].items()} == {"chair": 2, "cup": 2}
    assert set(values["means"]) == {"all", "small", "other"}
    assert values["groups"] == {"small": ["cup"]}
    assert set(values["objects"]) == {"small", "other"}
    assert values["pruning_threshold"] == 0.1
    assert set(values["median_cells"]) == {"level3", "level2", "level1", "level0"}
    assert values["median_ms"] > 0
    assert len(values["checkpoint_sha256"]) == 64
    assert "mean, 1 small classes" in capsys.readouterr().out


def test_a_data_set_without_names_has_class_agnostic_figures_and_those_of_subsets(indexed, checkpoint):
    values = evaluate(indexed, checkpoint)
    assert values["agnostic"]["objects"] == 4
    assert set(values["subsets"]) == {"boxes", "piles"}
    assert (values["classes"], values["means"]) == ({}, {})
    assert evaluate(indexed, checkpoint, "--limit", "1")["agnostic"]["objects"] == 2


def test_several_folders_are_evaluated_as_one_set(indexed, scannet, checkpoint):
    parts = [evaluate(folder, checkpoint) for folder in (scannet, indexed)]
    both = evaluate((scannet, indexed), checkpoint)
    assert both["data"] == ["scannet", "clouds"]
    assert both["scenes"] == 4
    assert set(both["subsets"]) == {"all", "boxes", "piles"}
    assert both["groups"] == {"small": ["cup"]}
    for key in ("objects", "found_at_threshold", "false_at_threshold"):
        assert both["agnostic"][key] == sum(part["agnostic"][key] for part in parts)
    assert both["subsets"]["all"] == parts[0]["agnostic"]
    assert both["classes"]["cup"]["objects"] == parts[0]["classes"]["cup"]["objects"]
    assert evaluate((scannet, indexed), checkpoint, "--limit", "1")["scenes"] == 2


def test_every_box_above_the_least_score_counts(indexed, checkpoint):
    values = evaluate(indexed, checkpoint, "--tau", "0", "--score", "0.01", "--limit", "1")
    detector = Detector.load(checkpoint=checkpoint, device="cpu")
    settings = detector.default_settings()
    found = detector(np.load(indexed / "s0.npz")["xyz"], type(settings)(0.0, 0.01, settings.nms_iou_threshold, 10**6))
    summary = values["agnostic"]
    assert summary["found_at_threshold"] + summary["false_at_threshold"] == len(found)


def test_overlap_in_plan_view_is_an_option_as_in_the_original(indexed, checkpoint):
    counts = []
    for overlap in ("3d", "plan_view"):
        values = evaluate(indexed, checkpoint, "--overlap", overlap, "--tau", "0", "--score", "0.01")
        assert values["nms_overlap"] == overlap
        counts.append(sum(values["agnostic"][key] for key in ("found_at_threshold", "false_at_threshold")))
    assert counts[0] > counts[1] > 0


def test_rotated_scenes_are_evaluated_with_boxes_of_their_points(indexed, checkpoint, capsys):
    assert main(["evaluate", str(indexed), "--checkpoint", str(checkpoint), "--device", "cpu", "--yaw", "30"]) == 1
    assert "does not say which points" in capsys.readouterr().err
    for number in range(2):
        xyz = np.load(indexed / f"s{number}.npz")["xyz"]
        np.savez(indexed / f"s{number}.npz", xyz=xyz, inst=np.repeat([1, 2], 150))
    entries = json.loads((indexed / "boxes.json").read_text())
    for entry in entries:
        for number, labelled in enumerate(entry["objects"]):
            labelled["inst"] = number + 1
    (indexed / "boxes.json").write_text(json.dumps(entries))
    values = evaluate(indexed, checkpoint, "--yaw", "30")
    assert values["yaw_degrees"] == 30
    assert values["agnostic"]["objects"] == 4


def test_a_folder_without_scenes_is_named(tmp_path, checkpoint, capsys):
    (tmp_path / "there").mkdir()
    folders = [str(tmp_path / "there"), str(tmp_path / "none")]
    assert main(["evaluate", *folders, "--checkpoint", str(checkpoint), "--device", "cpu"]) == 1
    assert "none: no such folder" in capsys.readouterr().err


def test_the_kind_of_postprocessing_is_an_option_and_scores_are_plotted(indexed, checkpoint, capsys):
    out = indexed.parent / "out" / "small.json"
    for kind in ("published", "fused"):
        arguments = ["evaluate", str(indexed), "--device", "cpu", "--postprocessing", kind, "--json", str(out)]
        assert main(arguments) == 0
        assert json.loads(out.read_text())["postprocessing"] == kind
    assert "score_map of the model file that fits these scenes" in capsys.readouterr().out
    png = indexed.parent / "reliability.png"
    assert main(["evaluate", str(indexed), "--device", "cpu", "--plot", str(png)]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    refused = ["evaluate", str(indexed), "--device", "cpu", "--postprocessing", "fused", "--overlap", "plan_view"]
    assert main(refused) == 1
    assert "needs nms_across_classes" in capsys.readouterr().err
