"""Original checkpoints, written in their own layout with random weights: converted or used as they are."""

import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from evil import Evil

from dspdet3d_ros.cli import main
from dspdet3d_ros.detector.checkpoint import read_checkpoint, save_checkpoint, sha256
from dspdet3d_ros.detector.config import ModelConfig, load_model_config
from dspdet3d_ros.detector.loaded_model import LoadedModel
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.detector.released import convert, released_config
from dspdet3d_ros.errors import InputError

MD40 = load_model_config("scannet_md40").classes
NARROW = {"widths": (4, 8, 8, 12), "blocks": (1, 1, 1, 1), "head_width": 6}


def network(classes=MD40, **shape):
    torch.manual_seed(0)
    made = DSPDet3D(ModelConfig(classes=tuple(classes), **(shape or NARROW)), initial_size=0.2)
    for conv in (made.head.cls_conv, made.head.bbox_conv, *made.head.keep_conv):
        torch.nn.init.normal_(conv.kernel, std=0.5)
    return made


def write(path, state, classes=None, prefix="", config=None):
    """A checkpoint as mmcv saves it."""
    meta = {"env_info": "sys.platform: linux", "config": config or "voxel_size = .01\n", "seed": 0, "epoch": 12}
    if classes:
        meta |= {"CLASSES": tuple(classes), "PALETTE": None, "hook_msgs": {}}
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    state = OrderedDict((prefix + name, tensor) for name, tensor in state.items())
    torch.save({"meta": meta, "state_dict": state, "optimizer": optimizer}, path)
    return path


@pytest.fixture
def original(tmp_path):
    return write(tmp_path / "epoch_12.pth", network().state_dict(), MD40, prefix="module.")


def cloud():
    rng = np.random.default_rng(1)
    return np.column_stack([rng.uniform(-1, 1, (3000, 2)), rng.uniform(0, 0.3, 3000)])


def test_detections_are_the_same_before_and_after_conversion(original, tmp_path):
    source = network().eval()
    convert(original, tmp_path / "sub" / "ours.pth")
    loaded = [Detector.load(checkpoint=path, device="cpu") for path in (original, tmp_path / "sub" / "ours.pth")]
    results = [detector(cloud()) for detector in loaded]
    config = load_model_config("scannet_md40")
    by_hand = Detector(LoadedModel(source.config, source, ""), loaded[0].engine, torch.device("cpu"))
    results.append(by_hand(cloud(), loaded[0].default_settings()))
    assert len(results[0]) > 0
    for other in results[1:]:
        np.testing.assert_array_equal(other.boxes, results[0].boxes)
        np.testing.assert_array_equal(other.scores, results[0].scores)
        assert other.names == results[0].names
    for detector in loaded:
        assert detector.class_names == MD40
        assert detector.model_name == "scannet_md40"
        assert detector.default_settings().pruning_threshold == config.pruning_threshold


def test_the_command_prints_and_stores_the_digest(original, tmp_path, capsys):
    out = tmp_path / "ours.pth"
    assert main(["convert", str(original), str(out)]) == 0
    digest = sha256(original)
    printed = capsys.readouterr().out
    assert digest in printed
    assert "22 classes: bathtub, bed" in printed
    contents = read_checkpoint(out)
    assert contents["source_sha256"] == digest
    assert ModelConfig.from_dict(contents["model"]).widths == NARROW["widths"]
    assert set(contents["state_dict"]) == set(network().state_dict())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_12.pth", "ours.pth"]


def test_without_class_names_the_shape_tells_the_released_model():
    state = DSPDet3D(load_model_config("class_agnostic")).state_dict()
    for name in ("scannet_md40", "toscene_down", "class_agnostic"):
        config = load_model_config(name)
        count = len(config.classes)
        head = {"head.cls_conv.kernel": torch.zeros(128, count), "head.cls_conv.bias": torch.zeros(1, count)}
        assert released_config({"state_dict": state | head}, "x.pth") == (config, name)


@pytest.mark.parametrize("blocks", [(1, 1, 1, 1), (2, 2, 2, 2), (3, 4, 6, 3)])
def test_depth_and_widths_are_read_off_the_tensors(blocks):
    shape = NARROW | {"blocks": blocks}
    config, _ = released_config({"state_dict": network(**shape).state_dict()}, "x.pth", "scannet_md40")
    assert (config.widths, config.blocks, config.head_width) == (shape["widths"], blocks, shape["head_width"])
    assert config.classes == MD40


def test_names_of_the_checkpoint_come_first_and_strange_ones_are_taken(tmp_path):
    names = ("spanner", "nut", "bolt")
    path = write(tmp_path / "a.pth", network(names).state_dict(), names, config="a = 1\nvoxel_size = 0.02\n")
    config = convert(path, tmp_path / "b.pth").config
    assert config.classes == names
    assert config.voxel_size == 0.02


def test_a_named_model_gives_names_and_thresholds(tmp_path):
    model = tmp_path / "mine.yaml"
    model.write_text("model: {classes: [nut, bolt], pruning_threshold: 0.7, voxel_size: 0.03}")
    path = write(tmp_path / "a.pth", network(("x", "y")).state_dict())
    config = convert(path, tmp_path / "b.pth", str(model)).config
    assert (config.classes, config.pruning_threshold, config.voxel_size) == (("nut", "bolt"), 0.7, 0.03)
    assert Detector.load(str(model), path, "cpu").class_names == ("nut", "bolt")


def test_another_number_of_classes_is_refused(original, tmp_path):
    with pytest.raises(InputError, match=r"epoch_12\.pth: has 22 classes, but model toscene_down has 70"):
        convert(original, tmp_path / "out.pth", "toscene_down")
    with pytest.raises(InputError, match="22 classes"):
        Detector.load("toscene_down", original, "cpu")
    nameless = write(tmp_path / "n.pth", network(("x", "y")).state_dict(), ("only one",))
    with pytest.raises(InputError, match=r"n\.pth: has 2 classes and names none of them"):
        convert(nameless, tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


def test_tensors_that_do_not_fit_are_listed_by_name(tmp_path):
    state = network().state_dict()
    del state["backbone.layer3.0.conv2.kernel"]
    state["head.keep_conv.0.bias"] = torch.zeros(1, 2)
    state["head.extra"] = torch.zeros(1)
    path = write(tmp_path / "a.pth", state, MD40)
    with pytest.raises(InputError) as caught:
        convert(path, tmp_path / "out.pth")
    for part in (
        "missing backbone.layer3.0.conv2.kernel",
        "unexpected head.extra",
        "head.keep_conv.0.bias is (1, 2), expected (1, 1)",
    ):
        assert part in str(caught.value)
    assert not (tmp_path / "out.pth").exists()


def test_a_lost_last_block_is_missing_not_another_network(tmp_path):
    state = network(**NARROW | {"blocks": (2, 2, 2, 2)}).state_dict()
    cut = {name: tensor for name, tensor in state.items() if not name.startswith("backbone.layer4.1.")}
    with pytest.raises(InputError, match=r"missing backbone\.layer4\.1\.conv1\.kernel"):
        convert(write(tmp_path / "a.pth", cut, MD40), tmp_path / "out.pth")


@pytest.mark.parametrize("lost", ["head.cls_conv", "head.out_block", "backbone.layer1"])
def test_tensors_that_tell_the_shape_are_named_when_missing(tmp_path, lost):
    state = {name: tensor for name, tensor in network().state_dict().items() if not name.startswith(lost)}
    with pytest.raises(InputError, match=r"a\.pth"):
        convert(write(tmp_path / "a.pth", state, MD40), tmp_path / "out.pth")


def test_checkpoints_of_other_networks_are_refused(tmp_path):
    path = write(tmp_path / "a.pth", {"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}, ("cat",))
    with pytest.raises(InputError, match=r"a\.pth: expected tensors of DSPDet3D"):
        convert(path, tmp_path / "out.pth")


@pytest.mark.parametrize("value", [float("nan"), 1e300])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    state = {name: tensor.double() for name, tensor in network().state_dict().items()}
    state["backbone.layer1.0.conv1.kernel"][0, 0, 0] = value
    with pytest.raises(InputError, match=r"backbone\.layer1\.0\.conv1\.kernel holds values that are not finite"):
        convert(write(tmp_path / "a.pth", state, MD40), tmp_path / "out.pth")


def test_an_evil_and_a_truncated_file_are_refused_in_one_line_and_nothing_is_written(original, tmp_path, capsys):
    trace = tmp_path / "trace"
    torch.save({"meta": {"CLASSES": Evil(open, str(trace), "w")}, "state_dict": {}}, tmp_path / "evil.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Evil(open, str(trace), "w")))
    (tmp_path / "cut.pth").write_bytes(original.read_bytes()[:20000])
    for name in ("evil.pth", "raw.pth", "cut.pth", "absent.pth"):
        assert main(["convert", str(tmp_path / name), str(tmp_path / "out.pth")]) == 1
        error = capsys.readouterr().err
        assert name in error
        assert error.count("\n") == 1
    assert not trace.exists()
    assert not list(tmp_path.glob("out*"))


def test_a_target_that_cannot_be_written_is_named_and_the_source_is_never_replaced(original, tmp_path):
    before = original.read_bytes()
    with pytest.raises(InputError, match="is the file to convert"):
        convert(original, original)
    assert original.read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        convert(original, tmp_path / "file" / "out.pth")


def test_our_own_checkpoint_needs_no_conversion(original, tmp_path):
    convert(original, tmp_path / "ours.pth")
    with pytest.raises(InputError, match="already"):
        convert(tmp_path / "ours.pth", tmp_path / "again.pth")


def test_a_save_that_fails_leaves_the_file_that_was_there(tmp_path):
    path = tmp_path / "w.pth"
    save_checkpoint(path, {"state_dict": {}})
    before = path.read_bytes()
    with pytest.raises((InputError, TypeError, AttributeError, pickle.PicklingError)):
        save_checkpoint(path, {"state_dict": {}, "f": lambda: 0})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.pth"]
