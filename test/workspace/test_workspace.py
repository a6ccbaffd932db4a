"""A `colcon build` installs everything, and it works from there. `colcon test` runs these; `.ci/colcon` runs colcon."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "dspdet3d_ros"
# Set by CMakeLists.txt.
PREFIX = Path(os.environ.get("DSPDET3D_PREFIX", ""))
SYMLINKS = os.environ.get("DSPDET3D_SYMLINKS", "").upper() in ("1", "ON", "TRUE")
WAIT_S = 120

pytestmark = pytest.mark.skipif(
    "DSPDET3D_PREFIX" not in os.environ, reason="only for an installation by colcon: colcon test runs it"
)


def python(code, *arguments):
    """Output of Python in an environment where the workspace is sourced."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture(scope="module")
def package():
    """The folder that the package is imported from."""
    return Path(python(f"import {NAME}; print({NAME}.__path__[0])")[0])


def files(folder):
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path for path in found if "__pycache__" not in path.parts}


def sources():
    """Files of the package as it is in the checkout; the C library is compiled by CMake."""
    return {path for path in files(ROOT / NAME) if path.suffix != ".so"}


def test_the_library_of_backend_native_is_compiled_and_used(package):
    code = (
        f"from {NAME}.sparse import choose_backend; from {NAME}.native import library\n"
        "print(choose_backend('cpu')[0], library.PATH)"
    )
    backend, path = python(code)
    assert (backend, Path(path).parent) == ("native", package / "native")


def test_every_module_and_data_file_is_installed_with_the_messages(package):
    assert PREFIX in package.parents
    ours = sources()
    assert ours - files(package) == set()
    generated = files(package) - ours
    assert {Path(f"msg/_{kind}_stats.py") for kind in ("accumulator", "pruning")} <= generated
    assert Path("srv/_detect.py") in generated
    assert {path.suffix for path in generated if path.parent.name not in ("msg", "srv")} <= {".so", ".c"}
    for path in ours:
        assert (package / path).is_symlink() == SYMLINKS
        assert (package / path).read_bytes() == (ROOT / NAME / path).read_bytes()


def test_with_symlinks_an_edited_file_takes_effect_at_once(package):
    if not SYMLINKS:
        pytest.skip("this is an installation of copies")
    places = [(package, NAME), (PREFIX / "share" / NAME / "launch", "launch")]
    places += [(PREFIX / "share" / NAME / "config", "config"), (PREFIX / "lib" / NAME, "scripts/executables")]
    for installed, source in places:
        for path in sources() if source == NAME else files(ROOT / source):
            assert (installed / path).samefile(ROOT / source / path)


def test_modules_and_messages_are_imported_from_where_they_are_installed(package):
    code = (
        f"import {NAME}.msg, {NAME}.ros.detector_node, {NAME}.detector.network as network, vision_msgs.msg\n"
        f"from rclpy.type_support import check_for_type_support\n"
        f"check_for_type_support({NAME}.msg.PruningStats)\n"
        f"check_for_type_support({NAME}.msg.AccumulatorStats)\n"
        f"print({NAME}.__file__, {NAME}.msg.__file__, {NAME}.ros.detector_node.__file__, network.__file__)"
    )
    for place in python(code):
        assert package in Path(place).parents


def test_the_index_and_the_share_folder_have_what_ros_looks_for():
    resources = PREFIX / "share" / "ament_index" / "resource_index"
    assert (resources / "packages" / NAME).is_file()
    listed = (resources / "rosidl_interfaces" / NAME).read_text().split()
    assert {"msg/AccumulatorStats.msg", "msg/PruningStats.msg"} <= set(listed)
    share = PREFIX / "share" / NAME
    for folder in ("launch", "config"):
        assert files(share / folder) == files(ROOT / folder)
    assert (share / "package.xml").read_bytes() == (ROOT / "package.xml").read_bytes()
    where = "from ament_index_python.packages import get_package_prefix as p; print(p('dspdet3d_ros'))"
    assert python(where) == [str(PREFIX)]


def test_ros2_run_finds_every_program():
    programs = PREFIX / "lib" / NAME
    assert files(programs) == files(ROOT / "scripts" / "executables")
    for program in programs.iterdir():
        assert os.access(program, os.X_OK)
    done = subprocess.run([programs / "dspdet3d", "--help"], capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    assert "benchmark" in done.stdout


def test_the_installed_node_answers_the_cloud_of_the_installed_player(tmp_path):
    rclpy = pytest.importorskip("rclpy")
    from vision_msgs.msg import Detection3DArray

    from dspdet3d_ros.ros.tools.node_client import isolate

    isolate()
    commands = {
        "cloud_player": ["-p", "period_s:=1.0", "-r", "~/output/points:=/dspdet3d/input/points"],
        "detector": ["--params-file", str(PREFIX / "share" / NAME / "config" / "detector.yaml")],
    }
    commands["detector"] += ["-p", "input_reliability:=reliable", "-p", "pruning_threshold:=0.7"]
    processes = {}
    rclpy.init()
    node = rclpy.create_node("listener")
    received = []
    node.create_subscription(Detection3DArray, "/dspdet3d/output/detections", received.append, 1)
    try:
        for name, arguments in commands.items():
            program = [PREFIX / "lib" / NAME / name, "--ros-args", *arguments]
            with (tmp_path / name).open("w") as log:
                processes[name] = subprocess.Popen(program, stdout=log, stderr=log, cwd="/")
        end = time.monotonic() + WAIT_S
        while not received and time.monotonic() < end and all(p.poll() is None for p in processes.values()):
            rclpy.spin_once(node, timeout_sec=0.1)
        for process in processes.values():
            process.send_signal(signal.SIGINT)
        status = {name: process.wait(WAIT_S) for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
        node.destroy_node()
        rclpy.shutdown()
    logs = "".join((tmp_path / name).read_text() for name in commands)
    assert received, logs
    assert status == dict.fromkeys(commands, 0), logs
    assert received[0].header.frame_id == "map"
    assert len(received[0].detections) > 3
