import pickle

import pytest
import torch
from evil import Evil
from torch import nn

from dspdet3d_ros.detector.checkpoint import load_weights, read_checkpoint, save_checkpoint, sha256
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.errors import InputError


def test_saved_weights_load_again_in_half_precision_too(tmp_path):
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    state = {f"module.{name}": tensor.half() for name, tensor in source.state_dict().items()}
    save_checkpoint(tmp_path / "sub" / "w.pth", {"state_dict": state})
    load_weights(target, read_checkpoint(tmp_path / "sub" / "w.pth")["state_dict"], "w.pth")
    torch.testing.assert_close(target.weight, source.weight, atol=1e-3, rtol=1e-3)
    assert target.weight.dtype == torch.float32
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["w.pth"]
    assert len(sha256(tmp_path / "sub" / "w.pth")) == 64


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    trace = tmp_path / "trace"
    torch.save({"state_dict": Evil(open, str(trace), "w")}, tmp_path / "evil.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Evil(open, str(trace), "w")))
    for name in ("evil.pth", "raw.pth"):
        with pytest.raises(InputError, match=name):
            read_checkpoint(tmp_path / name)
    assert not trace.exists()


@pytest.mark.parametrize("contents", [{}, {"state_dict": 3}, {"state_dict": {"weight": "text"}}, [1]])
def test_a_file_without_a_state_is_refused(tmp_path, contents):
    torch.save(contents, tmp_path / "odd.pth")
    with pytest.raises(InputError, match=r"odd\.pth"):
        read_checkpoint(tmp_path / "odd.pth")


def test_absent_and_truncated_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_checkpoint(tmp_path / "none.pth")
    torch.save({"state_dict": {"weight": torch.zeros(1000)}}, tmp_path / "cut.pth")
    whole = (tmp_path / "cut.pth").read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.pth"):
            read_checkpoint(tmp_path / "cut.pth")


def test_tensors_that_do_not_fit_are_listed_by_name():
    state = {"weight": torch.zeros(2, 4), "extra": torch.zeros(1)}
    with pytest.raises(InputError, match=r"missing bias, unexpected extra, weight is \(2, 4\), expected \(2, 3\)"):
        load_weights(nn.Linear(3, 2), state, "w.pth")


def test_weights_that_are_not_finite_are_refused_by_name():
    state = nn.Linear(3, 2).state_dict()
    state["weight"][1, 2] = float("nan")
    with pytest.raises(InputError, match="weight holds values that are not finite"):
        load_weights(nn.Linear(3, 2), state, "w.pth")


@pytest.mark.parametrize(("key", "value"), [("classes", "chair"), ("recenter", "no"), ("voxel_size", torch.inf)])
def test_a_checkpoint_whose_model_cannot_be_used_is_refused_by_name(tmp_path, key, value):
    save_checkpoint(tmp_path / "odd.pth", {"state_dict": {}, "model": {"classes": ["cup"], key: value}})
    with pytest.raises(InputError, match=rf"odd\.pth: model: {key}: expected"):
        Detector.load(checkpoint=tmp_path / "odd.pth", device="cpu")
