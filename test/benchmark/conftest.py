"""A model of a few channels and a small cloud: what is measured on them is checked, never how fast it is."""

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.checkpoint import save_checkpoint
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.network import DSPDet3D

CONFIG = ModelConfig(
    classes=("cup", "bowl", "book"), widths=(4, 8, 8, 8), blocks=(1, 1, 1, 1), head_width=8, score_threshold=0.0
)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    network = DSPDet3D(CONFIG, initial_size=0.15)
    for conv in (network.head.cls_conv, network.head.bbox_conv, *network.head.keep_conv):
        torch.nn.init.normal_(conv.kernel, std=0.5)
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    save_checkpoint(path, {"state_dict": network.state_dict(), "model": CONFIG.to_dict()})
    return path


@pytest.fixture(scope="session")
def tiny_cloud(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("clouds") / "tiny.npy"
    np.save(path, np.column_stack([rng.uniform(-0.6, 0.6, (3000, 2)), rng.uniform(0, 0.2, 3000)]).astype(np.float32))
    return path
