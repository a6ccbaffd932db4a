"""`ros2 launch` starts all or nothing, and leaves no process and no shared memory behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("ros2launch", reason="ros2 launch comes with a ROS installation only")

from ament_index_python.packages import get_package_share_directory
from limits import WAIT_S
from own_domain import DOMAIN

from dspdet3d_ros.ros.tools.shared_memory import SHARED_MEMORY, left_over, segments

pytestmark = pytest.mark.skipif(
    not (Path(get_package_share_directory("dspdet3d_ros")) / "launch").is_dir(),
    reason="the package's launch files are not installed here",
)
ROS2 = [sys.executable, "-c", "import sys; from ros2cli.cli import main; sys.exit(main())"]


def session(leader):
    """Process ids of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, number = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(number) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found


class Launched:
    """`ros2 launch` in a session of its own, as in a terminal."""

    def __init__(self, log, *arguments, environment=None):
        self.log, self.held = log, set()
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*ROS2, "launch", "dspdet3d_ros", *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={
                    **os.environ,
                    "ROS_DOMAIN_ID": str(DOMAIN),
                    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
                    "OMP_WAIT_POLICY": "PASSIVE",
                    **(environment or {}),
                },
            )

    def wait_for(self, *texts):
        """Waits until all texts are in the output."""
        end = time.monotonic() + WAIT_S
        while not all(text in self.log.read_text() for text in texts):
            assert time.monotonic() < end, self.log.read_text()
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        for pid in session(self.process.pid):
            with contextlib.suppress(OSError):
                self.held |= segments(pid)

    def interrupt(self):
        """Ctrl-C: a signal for all processes of the terminal."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self):
        """Waits for the end; its status and output. Nothing may be left behind."""
        status = self.process.wait(WAIT_S)
        left = session(self.process.pid)
        assert left == [], self.log.read_text()
        if SHARED_MEMORY.is_dir():
            assert left_over(self.held) == set()
        return status, self.log.read_text()

    def close(self):
        """Whatever the test has left."""
        for pid in session(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(WAIT_S)


@pytest.fixture
def launched(tmp_path):
    started = []

    def launched(*arguments, environment=None):
        started.append(Launched(tmp_path / f"{len(started)}.txt", *arguments, environment=environment))
        return started[-1]

    yield launched
    for one in started:
        one.close()


@pytest.fixture
def rviz2(tmp_path):
    """Makes a package rviz2 whose program ends at once; the environment in which it is found."""

    def rviz2(status):
        prefix = tmp_path / "rviz2"
        packages, program = prefix / "share/ament_index/resource_index/packages", prefix / "lib" / "rviz2" / "rviz2"
        for folder in (packages, program.parent):
            folder.mkdir(parents=True)
        (packages / "rviz2").touch()
        program.write_text(f"#!/bin/sh\nexit {status}\n")
        program.chmod(0o755)
        path = os.pathsep.join([str(prefix), os.environ["AMENT_PREFIX_PATH"]])
        return {"AMENT_PREFIX_PATH": path, "DISPLAY": ":0"}

    return rviz2


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("period_s:=soon", "period_s: expected a number in 0.01..86400, got 'soon'"),
        ("cloud:=/no/such.ply", "cloud: /no/such.ply: no such file; check the path"),
        ("rviz_config:=/no/such.rviz", "rviz_config: /no/such.rviz: no such file; check the path"),
        ("params_file:=/no/such.yaml", "params_file: /no/such.yaml: no such file; check the path"),
        ("pruning_threshold:=7", "pruning_threshold: expected a number in 0..1, got 7.0"),
        ("log_level:=loud", "not valid"),
        ("name:=7up", "name:=7up: expected a node name"),
    ],
)
def test_a_value_that_cannot_be_starts_no_process(launched, argument, expected):
    status, log = launched("demo.launch.py", argument).end()
    assert status == 1
    assert expected in log
    assert "process started" not in log


def test_without_rviz_the_demo_goes_on_and_ctrl_c_again_and_again_ends_it_cleanly(launched):
    # Where RViz is installed, this display keeps it from being started.
    demo = launched(
        "demo.launch.py", "namespace:=robot", "input:=~/cloud", environment={"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    )
    demo.wait_for("RViz is not started: ", "active: taking clouds from /robot/dspdet3d/cloud", "cloud_player]: publish")
    while len(session(demo.process.pid)) > 1:
        demo.interrupt()
        time.sleep(0.1)
    # The status of launch itself depends on when the last signal came.
    _, log = demo.end()
    assert log.count("process has finished cleanly") == 2
    assert "Traceback" not in log


def test_ctrl_c_while_the_model_is_loaded_is_reported_in_one_line(launched):
    detector = launched("detector.launch.py")
    # With its first segment of shared memory the node is there, and torch is imported next.
    end = time.monotonic() + WAIT_S
    while not detector.held:
        assert time.monotonic() < end
        detector.wait_for()
    detector.interrupt()
    status, log = detector.end()
    assert status == 0
    assert "Traceback" not in log
    assert "not started" not in log
    assert "configured" not in log
    assert "process has finished cleanly" in log


def test_a_detector_that_was_killed_is_started_again_and_ctrl_c_ends_it(launched):
    detector = launched("detector.launch.py", "respawn:=true", "respawn_delay:=0.1")
    detector.wait_for("active: taking clouds")
    (pid,) = (pid for pid in session(detector.process.pid) if pid != detector.process.pid)
    held = segments(pid)
    os.kill(pid, signal.SIGKILL)
    # The log has both starts.
    end = time.monotonic() + WAIT_S
    while detector.log.read_text().count("active: taking clouds") < 2:
        assert time.monotonic() < end, detector.log.read_text()
        time.sleep(0.1)
    for name in left_over(held):
        (SHARED_MEMORY / name).unlink(missing_ok=True)
    detector.interrupt()
    status, log = detector.end()
    assert status == 0
    assert log.count("process started") == 2


def test_camera_and_detector_are_two_nodes_with_parameters_of_their_own(launched):
    both = launched("rgbd.launch.py", "world_frame:=map", "target_frame:=map", "name:=finder")
    both.wait_for(
        "[accumulator]: active: taking depth images from /camera/camera/aligned_depth_to_color/image_raw",
        "[dspdet3d]: active: taking clouds from /accumulator/output/points",
    )
    both.interrupt()
    status, log = both.end()
    assert status == 0
    assert "is ignored" not in log, "a parameter of the other node"
    assert "Traceback" not in log


@pytest.mark.parametrize("argument", ["voxel_size:=7", "pruning_threshold:=7", "params_file:=/no/such.yaml"])
def test_of_camera_and_detector_none_is_started_if_an_argument_cannot_be(launched, argument):
    status, log = launched("rgbd.launch.py", argument).end()
    assert status == 1
    assert f"{argument.partition(':')[0]}: " in log
    assert "process started" not in log


@pytest.mark.parametrize(("status", "ends"), [(0, True), (3, False)])
def test_the_demo_ends_when_rviz_is_closed_and_goes_on_when_it_fails(launched, rviz2, status, ends):
    demo = launched("demo.launch.py", environment=rviz2(status))
    if not ends:
        demo.wait_for("RViz has failed (status 3); the demo goes on without it", "active: taking clouds")
        demo.interrupt()
    _, log = demo.end()
    assert ("process[rviz2-3] was required: shutting down launched system" in log) == ends
