"""`dspdet3d train` from scene files to weights that the detector runs."""

import json
import subprocess
import sys

import pytest
import yaml

pytest.importorskip("embreex", reason="scenes are made with embreex, which is not installed")
pytest.importorskip("tensorboard", reason="training logs need TensorBoard, which is not installed")

from dspdet3d_ros.cli import main
from dspdet3d_ros.detector.checkpoint import read_checkpoint
from dspdet3d_ros.learning.datasets.generated_classes import CLASS_NAMES
from dspdet3d_ros.learning.datasets.scene_files import load_scene
from dspdet3d_ros.learning.generation.batch import write_scenes


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    write_scenes(folder / "scenes", 3, 2, "table", 1)
    write_scenes(folder / "unseen", 900000, 3, "table", 1)
    model = {"classes": list(CLASS_NAMES), "widths": [8] * 4, "blocks": [1] * 4, "head_width": 8, "voxel_size": 0.02}
    training = {"epochs": 2, "iterations": 4, "batch_size": 1, "crop_size": 1.0, "initial_size": 0.12}
    (folder / "tiny.yaml").write_text(yaml.safe_dump({"model": model, "training": training}))
    return folder


def train(work, *more):
    return main(["train", "--config", f"{work / 'tiny.yaml'}", "--data", f"{work / 'scenes'}", *more])


def test_a_paused_run_goes_on_and_its_weights_detect(work, capsys):
    out = work / "run"
    assert train(work, "--out", f"{out}", "--stop-at", "2", "--validate", f"{work / 'scenes'}") == 0
    assert "after 2 iterations" in capsys.readouterr().out
    assert train(work, "--out", f"{out}", "--resume") == 0
    assert "4 of 4 iterations" in capsys.readouterr().out
    assert read_checkpoint(out / "last.pth")["iteration"] == 4
    assert any(path.name.startswith("events") for path in out.iterdir())
    scene = work / "scenes" / "000003.npz"
    assert main(["detect", f"{scene}", "--checkpoint", f"{out / 'weights.pth'}", "--tau", "0", "--score", "0"]) == 0
    assert "voxels" in capsys.readouterr().out
    assert len(load_scene(scene).boxes)


def test_two_processes_train_one_network_and_share_its_validation(work, tmp_path):
    out = work / "pair"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "dspdet3d_ros", "train", "--config", f"{work / 'tiny.yaml'}"]
    command += ["--data", f"{work / 'scenes'}", "--out", f"{out}", "--iterations", "2", "--threads", "1"]
    command += ["--validate", f"{work / 'unseen'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 of 2 iterations" in done.stdout
    assert read_checkpoint(out / "last.pth")["iteration"] == 2
    # The figures of the network that was saved, on all scenes, whichever process looked at which.
    said = done.stdout[done.stdout.index("after 2 iterations") :].splitlines()
    figures = ["evaluate", f"{work / 'unseen'}", "--checkpoint", f"{out / 'last.pth'}", "--device", "cpu"]
    assert main([*figures, "--json", f"{tmp_path / 'figures.json'}"]) == 0
    values = json.loads((tmp_path / "figures.json").read_text())
    assert any(line.startswith("3 scenes") for line in said)
    (row,) = (line.split()[2:] for line in said if line.startswith("all, class-agnostic"))
    agnostic = values["agnostic"]
    assert int(row[0]) == agnostic["objects"]
    # Untrained, it reports thousands of boxes: a few may round to the other side of a threshold.
    found, wrong = (agnostic[f"{key}_at_threshold"] for key in ("found", "false"))
    assert found + wrong > 1000
    assert [int(number) for number in row[5:7]] == pytest.approx([found, wrong], rel=2e-3, abs=1)


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_training_says_which_precision_it_chose(work, capsys, precision, tmp_path):
    assert train(work, "--out", f"{tmp_path}", "--precision", precision, "--stop-at", "1", "--workers", "2") == 0
    chosen = read_checkpoint(tmp_path / "last.pth")["precision"]
    assert (f"precision: {chosen}, since" in capsys.readouterr().out) == (precision == "auto")


def test_a_folder_without_scenes_is_named(work, capsys, tmp_path):
    assert main(["train", "--data", f"{tmp_path}"]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_a_normalisation_to_keep_must_come_from_somewhere(tmp_path, capsys):
    assert main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "run"), "--freeze-norm"]) == 1
    assert "--init" in capsys.readouterr().err
