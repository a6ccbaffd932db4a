"""A model of a few channels with random weights, for whatever needs a real checkpoint but no good one."""

import pytest


@pytest.fixture(scope="session")
def tiny_model():
    """Its configuration."""
    from dspdet3d_ros.detector.config import ModelConfig

    return ModelConfig(
        classes=("cup", "bowl", "book"), widths=(4, 8, 8, 8), blocks=(1, 1, 1, 1), head_width=8, score_threshold=0.0
    )


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory, tiny_model):
    """Path of its checkpoint, which holds the configuration as well."""
    import torch

    from dspdet3d_ros.detector.checkpoint import save_checkpoint
    from dspdet3d_ros.detector.network import DSPDet3D

    torch.manual_seed(0)
    network = DSPDet3D(tiny_model, initial_size=0.15)
    for conv in (network.head.cls_conv, network.head.bbox_conv, *network.head.keep_conv):
        torch.nn.init.normal_(conv.kernel, std=0.5)
    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    save_checkpoint(path, {"state_dict": network.state_dict(), "model": tiny_model.to_dict()})
    return path


@pytest.fixture(scope="module")
def detector(tiny_checkpoint):
    """The detector with it; modules that need another one have a fixture of the same name."""
    from dspdet3d_ros.detector.predictor import Detector

    return Detector.load(checkpoint=tiny_checkpoint, device="cpu")
