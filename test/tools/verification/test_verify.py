"""Equality with the original code on MinkowskiEngine, and that the comparison can fail."""

import shutil

import numpy as np
import pytest
import torch

from dspdet3d_ros.cli import main
from dspdet3d_ros.defaults import ORACLE
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse import make_engine
from dspdet3d_ros.tools.verification.end_to_end import verify_forward, verify_training
from dspdet3d_ros.tools.verification.operations import verify_operations

CPU = torch.device("cpu")


@pytest.fixture(params=["native", "torch"])
def engine(request):
    try:
        return make_engine(request.param)
    except InputError as error:
        pytest.skip(str(error))


def failures(comparisons):
    seen = []
    for comparison in comparisons:
        assert not torch.is_inference_mode_enabled(), "the caller's own computations would have no gradients"
        seen.append(comparison)
    assert seen
    return [str(comparison) for comparison in seen if not comparison.passed]


def test_operations_equal_the_original(engine):
    assert failures(verify_operations(ORACLE / "ops.npz", engine, CPU)) == []


def test_network_equals_the_original_at_every_threshold(engine):
    assert failures(verify_forward(ORACLE / "e2e.npz", engine, CPU)) == []


def test_losses_and_gradients_equal_the_original(engine):
    assert failures(verify_training(ORACLE / "train.npz", engine, CPU)) == []


def test_a_wrong_number_fails_the_command(tmp_path, capsys):
    with np.load(ORACLE / "ops.npz") as file:
        arrays = {name: file[name] for name in file.files if name.startswith("conv_k3_s1/")}
    arrays["conv_k3_s1/out_feats"][0, 0] += 1
    np.savez(tmp_path / "ops.npz", **arrays)
    assert main(["verify", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "FAIL  ops conv_k3_s1 output" in out
    assert "FAIL  ops conv_k3_s1 inference" in out
    assert "8 passed, 2 failed" in out


def test_a_right_file_passes_the_command(tmp_path, capsys):
    shutil.copy(ORACLE / "ops.npz", tmp_path)
    assert main(["verify", str(tmp_path)]) == 0
    assert " 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, b"no archive"])
def test_a_folder_without_usable_files_is_named(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "ops_1.npz").write_bytes(content)
    assert main(["verify", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err
