"""The MinkowskiEngine backend equals the original and the torch engine; where it is absent, one line says so."""

import collections
import json
import os
import subprocess
import sys
import sysconfig
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from random_cells import cells_of, outputs_of

from dspdet3d_ros.cli import main
from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.defaults import ORACLE
from dspdet3d_ros.detector.checkpoint import save_checkpoint
from dspdet3d_ros.detector.config import ModelConfig
from dspdet3d_ros.detector.network import DSPDet3D
from dspdet3d_ros.detector.preprocess import voxelise
from dspdet3d_ros.detector.pruning import Pruning, ThresholdPruning, keep_probability
from dspdet3d_ros.errors import InputError
from dspdet3d_ros.sparse import CoordinateSet, TorchEngine, make_engine
from dspdet3d_ros.sparse.convolution import Epilogue
from dspdet3d_ros.system import torch_threads
from dspdet3d_ros.tools.verification.comparison import relative_error
from dspdet3d_ros.tools.verification.end_to_end import ROUNDING, verify_forward, verify_training
from dspdet3d_ros.tools.verification.operations import verify_operations

ROOT = Path(__file__).resolve().parents[2]
REAL_CLOUD = ROOT.parent / "shared" / "data" / "mosd_learn" / "learn0.npz"
CPU = torch.device("cpu")
TOLERANCE = 1e-4
VOXEL = 0.02


@pytest.fixture(scope="module")
def engine():
    try:
        return make_engine("minkowski")
    except InputError as error:
        pytest.skip(str(error))


def failures(checks):
    checks = list(checks)
    assert checks
    return [str(check) for check in checks if not check.passed]


@pytest.mark.parametrize(
    ("verify", "name"), [(verify_operations, "ops"), (verify_forward, "e2e"), (verify_training, "train")]
)
def test_it_equals_the_original(engine, verify, name):
    assert failures(verify(ORACLE / f"{name}.npz", engine, CPU)) == []


CASES = [("same", 27, 1), ("same", 1, 4), ("down", 27, 4), ("down", 1, 1), ("up", 27, 8)]


@pytest.mark.parametrize(("kind", "volume", "stride"), CASES)
def test_outputs_and_gradients_equal_the_torch_engine(engine, kind, volume, stride):
    results = []
    for each in (engine, TorchEngine()):
        torch.manual_seed(1)
        inputs = cells_of(300, stride)
        outputs = outputs_of(inputs, kind)
        x, w = torch.randn(len(inputs), 5).requires_grad_(), torch.randn(volume, 5, 7).requires_grad_()
        out = each.convolve(x, w, inputs, outputs)
        out.backward(torch.randn(len(outputs), 7))
        results.append((out.detach(), x.grad, w.grad))
    for found, wanted in zip(*results, strict=True):
        assert relative_error(found.numpy(), wanted.numpy()) < TOLERANCE


@pytest.mark.parametrize("inference", [False, True])
def test_the_epilogue_is_applied_to_each_output_row(engine, inference):
    with torch.inference_mode(inference), torch.no_grad():
        inputs = cells_of(300, 2)
        outputs = inputs.downsampled()
        x, w = torch.randn(len(inputs), 4), torch.randn(27, 4, 6)
        epilogue = Epilogue(torch.randn(6), torch.randn(len(outputs), 6), relu=True)
        found = engine.convolve(x, w, inputs, outputs, epilogue)
        wanted = TorchEngine().convolve(x, w, inputs, outputs, epilogue)
    assert relative_error(found.numpy(), wanted.numpy()) < TOLERANCE


def test_a_set_may_be_input_first_and_output_later(engine):
    inputs = cells_of(200, 1)
    outputs = inputs.downsampled()
    x, w = torch.randn(len(inputs), 4), torch.randn(27, 4, 4)
    engine.convolve(torch.randn(len(outputs), 4), w, outputs, outputs)
    for _ in range(2):
        found = engine.convolve(x, w, inputs, outputs)
        assert relative_error(found.numpy(), TorchEngine().convolve(x, w, inputs, outputs).numpy()) < TOLERANCE


def test_sets_of_one_stride_in_one_tree_are_kept_apart(engine):
    root = cells_of(200, 8)
    coarse, fine = root.downsampled(), root.expanded()
    steps = [(root, coarse), (root, fine), (coarse, coarse.expanded()), (fine, fine.downsampled())]
    for inputs, outputs in [*steps, (fine.downsampled(), fine.downsampled().expanded())]:
        x, w = torch.randn(len(inputs), 4), torch.randn(27, 4, 4)
        found = engine.convolve(x, w, inputs, outputs)
        assert relative_error(found.numpy(), TorchEngine().convolve(x, w, inputs, outputs).numpy()) < TOLERANCE


def test_an_empty_set_convolves_to_nothing(engine):
    inputs = CoordinateSet(torch.empty(0, dtype=torch.int64), 4)
    for outputs in (inputs, inputs.downsampled(), inputs.expanded()):
        assert engine.convolve(torch.empty(0, 3), torch.randn(27, 3, 5), inputs, outputs).shape == (0, 5)


def test_outputs_that_the_engine_does_not_make_are_not_filled_silently(engine):
    inputs = cells_of(200, 2)
    for outputs in (inputs.downsampled(), inputs.expanded()):
        part = outputs.subset(torch.arange(len(outputs)) > 0)
        with pytest.raises(RuntimeError, match=f"{len(outputs)} cells where {len(part)} were expected"):
            engine.convolve(torch.randn(len(inputs), 3), torch.randn(27, 3, 3), inputs, part)


def test_its_maps_go_with_the_sets(engine):
    def use() -> list[weakref.ref]:
        inputs = cells_of(200, 2)
        x, w = torch.randn(len(inputs), 3), torch.randn(27, 3, 3)
        sets = [outputs_of(inputs, kind) for kind in ("same", "down", "up")]
        for outputs in sets:
            engine.convolve(x, w, inputs, outputs)
        return [weakref.ref(each) for each in sets]

    assert [ref() for ref in use()] == [None, None, None]


@pytest.mark.parametrize("threads", [1, 3])
def test_torch_keeps_its_number_of_threads(engine, threads):
    with torch_threads(threads):
        inputs = cells_of(200, 1)
        engine.convolve(torch.randn(len(inputs), 3), torch.randn(27, 3, 3), inputs, inputs)
        assert torch.get_num_threads() == threads


def test_only_its_import_sees_the_old_names_of_collections(engine):
    assert not [name for name in ("Callable", "Iterable", "Mapping", "Sequence") if hasattr(collections, name)]


def test_a_build_without_cuda_refuses_a_gpu(engine):
    if sys.modules["MinkowskiEngine"].is_cuda_available():
        pytest.skip("this MinkowskiEngine was built with CUDA")
    with pytest.raises(InputError, match="built without CUDA, got device cuda:0"):
        make_engine("minkowski", "cuda:0")


NARROW = ModelConfig(
    classes=("cup", "book"), widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1), head_width=8, score_threshold=0.0
)


def narrow_network(points: torch.Tensor) -> DSPDet3D:
    """Random weights, with batch statistics of the points: signals keep their strength through all layers."""
    torch.manual_seed(0)
    network = DSPDet3D(NARROW, initial_size=0.15).train()
    for conv in (network.head.cls_conv, network.head.bbox_conv, *network.head.keep_conv):
        torch.nn.init.normal_(conv.kernel, std=0.5)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0
    with torch.no_grad():
        network(voxelise(points, VOXEL, TorchEngine()), ThresholdPruning(0.0))
    return network.eval()


class RecordedPruning(Pruning):
    """Keeps what exceeds τ; a second run decides alike where a probability is close to τ, and may differ only there."""

    def __init__(self, tau: float) -> None:
        self.tau = tau
        self.masks = {}

    def keep(self, cells, prune_logits):
        probability = keep_probability(prune_logits)
        mask = probability > self.tau
        recorded = self.masks.setdefault(cells.coords.stride, mask)
        assert ((probability - self.tau).abs()[mask != recorded] < ROUNDING).all()
        return recorded


@pytest.mark.skipif(not REAL_CLOUD.is_file(), reason=f"no real cloud at {REAL_CLOUD}")
@pytest.mark.parametrize("tau", [0.3, 0.5, 0.7])
def test_a_network_sees_the_same_in_a_real_cloud(engine, tau):
    points = torch.from_numpy(read_cloud(REAL_CLOUD).xyz[::4].astype(np.float32))
    points = points - points.mean(0)
    network, pruning = narrow_network(points), RecordedPruning(tau)
    with torch.inference_mode():
        wanted = network(voxelise(points, VOXEL, TorchEngine()), pruning)
        found = network(voxelise(points, VOXEL, engine), pruning)
    assert [level.kept for level in found] == [level.kept for level in wanted]
    assert len(wanted) == 4
    assert 0 < wanted[2].kept < len(wanted[2].coords)
    for ours, theirs in zip(wanted, found, strict=True):
        assert torch.equal(ours.coords.keys, theirs.coords.keys)
        for name in ("regression", "logits"):
            assert relative_error(getattr(theirs, name).numpy(), getattr(ours, name).numpy()) < TOLERANCE


def test_the_detect_command_finds_the_same_boxes(engine, tmp_path):
    xyz = np.random.default_rng(0).uniform(0, (1, 1, 0.2), (2000, 3)).astype(np.float32)
    np.save(tmp_path / "cloud.npy", xyz)
    network = narrow_network(torch.from_numpy(xyz))
    save_checkpoint(tmp_path / "narrow.pth", {"state_dict": network.state_dict(), "model": NARROW.to_dict()})
    found = {}
    for backend in ("torch", "minkowski"):
        out = tmp_path / f"{backend}.json"
        model = ["--checkpoint", str(tmp_path / "narrow.pth"), "--device", "cpu", "--tau", "0"]
        assert main(["detect", str(tmp_path / "cloud.npy"), *model, "--backend", backend, "--json", str(out)]) == 0
        values = json.loads(out.read_text())
        assert values["stats"]["backend"] == backend
        found[backend] = np.array([d["center"] + d["size"] + [d["score"]] for d in values["detections"]])
    assert len(found["torch"]) > 0
    np.testing.assert_allclose(found["minkowski"], found["torch"], rtol=1e-3, atol=1e-4)


BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name == "MinkowskiEngine":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""
RUN = "import sys; from dspdet3d_ros.cli import main; sys.exit(main(['verify', 'absent', '--backend', 'minkowski']))"


def refusal(code: str, path: Path) -> str:
    """The one line that the command prints in a Python that runs `code` and looks for modules in `path` first."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("dspdet3d verify: backend minkowski: ")
    assert "pip install MinkowskiEngine==0.5.4" in result.stderr
    assert "; or use backend torch" in result.stderr
    return result.stderr


def test_where_it_is_not_installed_one_line_says_how_to_get_it(tmp_path):
    assert "Python module MinkowskiEngine is missing" in refusal(BLOCKED + RUN, tmp_path)


def test_a_broken_native_library_is_named_in_one_line(tmp_path):
    library = tmp_path / f"MinkowskiEngine{sysconfig.get_config_var('EXT_SUFFIX')}"
    library.write_bytes(b"no library\n")
    assert f"MinkowskiEngine cannot be loaded: {library}: " in refusal(RUN, tmp_path)
