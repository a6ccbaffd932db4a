"""A checkpoint of random weights, and a data set of each format."""

import json
import pickle

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.checkpoint import save_checkpoint
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.learning.datasets.classes import scannet_md40

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
