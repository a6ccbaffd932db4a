"""Set-up does only what is needed, and says in one line what a machine lacks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ("scripts", "msg", "srv", "interfaces", "CMakeLists.txt", "package.xml", "setup.py")
INPUTS += ("dspdet3d_ros/__init__.py", "dspdet3d_ros/native")
ALL_STEPS = ["venv", "torch", "ros", "vision_msgs", "messages", "native", "package"]
# Stamps every step as if it had been done, with a Python that works.
STAMP_ALL = """
import sys
sys.path.insert(0, "scripts/environment")
import steps
(steps.VENV / "bin").mkdir(parents=True)
(steps.VENV / "bin" / "python").symlink_to(sys.executable)
steps.STATE.mkdir()
native = steps.runpy.run_path(str(steps.NATIVE / "build.py"))
native["LIBRARY"].write_text(native["digest"]())
for step in steps.Builder("torch==2.13.0", None).steps():
    step.stamp.write_text(step.fingerprint)
"""


def run(checkout: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    names = ("HOME", "PATH", "LANG")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    return subprocess.run(command, cwd=checkout, env=environment | variables, capture_output=True, text=True)


def pending(checkout: Path, *options: str) -> list[str]:
    result = run(checkout, sys.executable, "scripts/environment", "--dry-run", *options)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in INPUTS:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(source, target)
    return tmp_path


@pytest.fixture
def finished(checkout: Path) -> Path:
    result = run(checkout, sys.executable, "-c", STAMP_ALL)
    assert result.returncode == 0, result.stderr
    return checkout


def test_a_fresh_checkout_needs_every_step(checkout: Path):
    assert pending(checkout) == ALL_STEPS


def test_a_finished_set_up_needs_nothing(finished: Path):
    assert pending(finished) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("msg/PruningStats.msg", ["messages"]),
        ("srv/Detect.srv", ["messages"]),
        ("interfaces/vision_msgs/msg/LabelInfo.msg", ["vision_msgs", "messages"]),
        ("setup.py", ["package"]),
        ("dspdet3d_ros/__init__.py", ["package"]),
        ("scripts/environment/ros-wheels.txt", ["ros", "vision_msgs", "messages", "package"]),
        ("dspdet3d_ros/native/src/native.h", ["native"]),
        ("scripts/environment/console.py", []),
    ],
)
def test_a_changed_file_repeats_only_what_depends_on_it(finished: Path, changed: str, expected: list[str]):
    with (finished / changed).open("a", encoding="utf-8") as file:
        file.write("\n# changed\n")
    assert pending(finished) == expected


def test_another_torch_repeats_only_what_depends_on_it(finished: Path):
    assert pending(finished, "--torch", "torch==2.6.0") == ["torch", "package"]


def test_a_step_that_was_interrupted_is_repeated(finished: Path):
    (finished / ".venv" / ".setup" / "messages.stamp").unlink()
    assert pending(finished) == ["messages"]


def test_an_environment_whose_python_is_gone_is_made_again(finished: Path):
    python = finished / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert pending(finished) == ALL_STEPS


@pytest.mark.parametrize("contents", [None, "of other sources"])
def test_a_library_that_is_missing_or_of_other_sources_is_built_again(finished: Path, contents: str | None):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler is installed")
    library = finished / "dspdet3d_ros/native/libdspdet3d_native.so"
    library.unlink() if contents is None else library.write_text(contents)
    assert pending(finished) == ["native"]


def test_a_moved_checkout_is_set_up_again(finished: Path):
    moved = finished.rename(finished.with_name("moved"))
    assert pending(moved) == ALL_STEPS


def test_missing_build_tools_are_named_before_anything_is_done(checkout: Path):
    result = run(checkout, sys.executable, "scripts/environment", PATH="/nowhere")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "sudo apt install g++ cmake make" in result.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_without_venv_is_reported_with_the_package_to_install(checkout: Path):
    code = (
        "import runpy, sys; sys.modules['ensurepip'] = None; runpy.run_path('scripts/environment', run_name='__main__')"
    )
    result = run(checkout, sys.executable, "-c", code)
    assert result.returncode == 1
    assert f"sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in result.stderr


def test_running_without_an_environment_says_what_to_do(checkout: Path):
    result = run(checkout, "scripts/run", "true")
    assert result.returncode == 1
    assert "make setup" in result.stderr


def test_commands_run_on_this_machine_only_and_with_the_profile_for_large_clouds(finished: Path):
    (finished / ".venv" / "pyvenv.cfg").write_text("include-system-site-packages = false\n", encoding="utf-8")
    shown = run(finished, "scripts/run", "env").stdout
    assert f"FASTDDS_DEFAULT_PROFILES_FILE={finished}/config/fastdds_large_clouds.xml" in shown
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST" in shown


def test_commands_keep_what_the_user_has_set(finished: Path):
    (finished / ".venv" / "pyvenv.cfg").write_text("include-system-site-packages = false\n", encoding="utf-8")
    own = {"FASTDDS_DEFAULT_PROFILES_FILE": "/mine.xml", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
    shown = run(finished, "scripts/run", "env", **own).stdout
    assert "FASTDDS_DEFAULT_PROFILES_FILE=/mine.xml" in shown
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET" in shown
