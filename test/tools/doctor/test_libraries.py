"""The checks of `doctor` for Python libraries, GPU and weights."""

import hashlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from dspdet3d_ros.tools.doctor import libraries, rendering
from dspdet3d_ros.tools.doctor.finding import Severity, findings, ok, problem, warning
from dspdet3d_ros.tools.doctor.weights import CARD, DATA, weights

HASH = hashlib.sha256((DATA / "small.pth").read_bytes()).hexdigest()
SETUP = (Path(__file__).resolve().parents[3] / "setup.py").read_text(encoding="utf-8")


def no_driver():
    raise RuntimeError("Found no NVIDIA driver\non your system")


def build(cuda, init=no_driver):
    return SimpleNamespace(version=SimpleNamespace(cuda=cuda), cuda=SimpleNamespace(init=init))


@pytest.mark.parametrize(
    ("library", "driver", "level", "text"),
    [
        (build(None), None, Severity.OK, "none; the network runs on the CPU"),
        (build(None), "550.54", Severity.WARNING, "NVIDIA driver 550.54, but this torch is built for the CPU"),
        (build("12.6"), None, Severity.WARNING, "driver not loaded: Found no NVIDIA driver on your system"),
        (build("13.0"), "470.1", Severity.WARNING, "driver 470.1: Found no NVIDIA driver on your system"),
    ],
)
def test_a_gpu_that_torch_does_not_find_is_explained_by_build_and_driver(library, driver, level, text):
    finding = libraries.no_gpu(library, driver)
    assert finding.level == level
    assert text in finding.found
    assert bool(finding.fix) == (level != Severity.OK)


def test_the_drivers_version_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(libraries, "DRIVER", tmp_path / "version")
    assert libraries.driver_version() is None
    text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version: 12\n"
    (tmp_path / "version").write_text(text)
    assert libraries.driver_version() == "550.54.15"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("OMP_WAIT_POLICY", "active", "unset OMP_WAIT_POLICY"),
        ("OMP_NUM_THREADS", "100000", "set OMP_NUM_THREADS to at most"),
    ],
)
def test_threads_that_take_others_cores_are_a_warning(monkeypatch, name, value, text):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert [finding.level for finding in libraries.threads()] == [Severity.OK]
    monkeypatch.setenv(name, value)
    (finding,) = libraries.threads()
    assert finding.level == Severity.WARNING
    assert text in finding.fix


@pytest.mark.parametrize(("version", "text"), [(None, "cannot be imported"), ("0.9", "0.9; at least 1.21 is needed")])
def test_a_library_that_is_missing_or_too_old_is_a_problem(tmp_path, monkeypatch, version, text):
    if version:
        (tmp_path / "abacus.py").write_text(f'__version__ = "{version}"\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(libraries, "LIBRARIES", (("abacus", "abacus", (1, 21)),))
    (finding,) = libraries.libraries()
    assert finding.level == Severity.PROBLEM
    assert text in finding.found
    assert finding.fix == "pip install 'abacus>=1.21'"


def test_the_oldest_versions_are_those_that_an_installation_asks_for():
    asked = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', re.search(r"install_requires=\[(.*?)\]", SETUP)[1]))
    oldest = {package: version for _, package, version in libraries.LIBRARIES} | {"torch": libraries.OLDEST_TORCH}
    assert {package: tuple(map(int, version.split("."))) for package, version in asked.items()} == oldest


def test_optional_packages_are_listed_with_what_needs_them(monkeypatch):
    monkeypatch.setattr(libraries.importlib.util, "find_spec", lambda name: None if name == "embreex" else object())
    (finding,) = libraries.optional()
    assert finding.level == Severity.OK
    assert "installed: matplotlib, tensorboard" in finding.found
    assert "not installed: embreex (generate): pip install" in finding.found


def test_a_check_that_breaks_off_is_a_problem_and_the_others_go_on():
    def broken():
        yield ok("first", "there")
        raise OSError("out of order")

    found = list(findings([("broken", broken), ("good", lambda: [ok("last", "there")])]))
    assert [(f.name, f.level.value) for f in found] == [("first", "ok"), ("broken", "problem"), ("last", "ok")]
    assert "OSError: out of order" in found[1].found


def test_the_report_counts_the_findings_and_says_what_to_do():
    found = [ok("a", "1"), warning("b", "2", "do this"), problem("c", "3", "do that")]
    assert "-> do that" in rendering.lines(found[2])
    assert "->" not in rendering.lines(found[0])
    assert rendering.verdict(found, with_ros=True) == "the node cannot run: 1 problem, 1 warning"
    assert rendering.verdict(found[:2], with_ros=True) == "the node can run: 1 warning"
    assert rendering.verdict(found[:1], with_ros=False) == "the commands can run: 0 warnings; ROS was not checked"


@pytest.fixture
def data(tmp_path):
    for name in (CARD, "small.pth", "close.pth"):
        (tmp_path / name).write_bytes((DATA / name).read_bytes())
    return tmp_path


def test_the_weights_that_come_with_the_package_are_those_of_the_model_card():
    found = list(weights())
    assert [finding.level for finding in found] == [Severity.OK] * 2
    for finding, name in zip(found, ("small.pth", "close.pth"), strict=True):
        assert f"{name}, SHA-256" in finding.found
        assert "as in the model card" in finding.found


def damage(path: Path):
    path.write_bytes(path.read_bytes()[:1000])


def replace_weights(path: Path):
    torch = pytest.importorskip("torch")
    torch.save({"state_dict": {"weight": torch.zeros(3)}}, path)


@pytest.mark.parametrize(
    ("change", "level", "text"),
    [
        (Path.unlink, Severity.PROBLEM, "small.pth is missing"),
        (damage, Severity.PROBLEM, "cannot be read"),
        (replace_weights, Severity.WARNING, f"the model card says {HASH[:12]}"),
    ],
)
def test_missing_damaged_and_replaced_weights_are_reported(data, change, level, text):
    change(data / "small.pth")
    finding, other = weights(data)
    assert other.level == Severity.OK
    assert finding.level == level
    assert text in finding.found
    assert finding.fix


def test_a_missing_model_card_is_a_problem(data):
    (data / CARD).unlink()
    assert [finding.level for finding in weights(data)] == [Severity.PROBLEM]
