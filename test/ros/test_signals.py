"""Signals that ask the real processes to end: while they import, load, work, shut down and hang."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from limits import WAIT_S
from node_process import NODE
from own_domain import DOMAIN

from dspdet3d_ros.ros.tools.shared_memory import SHARED_MEMORY, left_over, segments

ROOT = Path(__file__).resolve().parents[2]
ENDING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
# Loads the real model again and again: there is time to interrupt it.
LOADS_FOR_LONG = """
import sys
from dspdet3d_ros.detector.predictor import Detector
from dspdet3d_ros.ros.detector_node import main
real = Detector.warm_up
def warm_up(detector):
    print("loading", file=sys.stderr, flush=True)
    while True:
        real(detector)
Detector.warm_up = warm_up
sys.exit(main())
"""
# Never returns from its shutdown.
HANGS = """
import resource, signal, sys, time
# A shell that starts a job in the background lets it ignore this signal.
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
from dspdet3d_ros.ros import signals
from dspdet3d_ros.ros.detector_node import DetectorNode, main
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def close(node, timeout_s):
    print("closing", file=sys.stderr, flush=True)
    time.sleep(600)
DetectorNode.close = close
signals.HANGS_S = {seconds}
sys.exit(main())
"""

# A program whose import of ROS takes long.
IMPORTS_FOR_LONG = """
import runpy, sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "rclpy":
            print("importing", file=sys.stderr, flush=True)
            time.sleep(600)
sys.meta_path.insert(0, Slow())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def script(text):
    return [sys.executable, "-c", text]


@pytest.fixture
def segments_of():
    """Files of a process in shared memory; those that are left after the test are removed."""
    if not SHARED_MEMORY.is_dir():
        pytest.skip(f"no {SHARED_MEMORY}")
    held = set()

    def segments_of(process):
        held.update(segments(process.process.pid))
        return held

    yield segments_of
    for name in left_over(held):
        (SHARED_MEMORY / name).unlink(missing_ok=True)


@pytest.mark.parametrize("number", ENDING)
def test_more_signals_do_not_keep_the_process_from_freeing_its_shared_memory(launch, segments_of, number):
    process = launch()
    process.wait_for("active: taking clouds")
    held = set(segments_of(process))
    process.process.send_signal(number)
    end = time.monotonic() + WAIT_S
    # As an operator who holds Ctrl-C down.
    while process.process.poll() is None and time.monotonic() < end:
        process.process.send_signal(number)
        time.sleep(0.02)
    status, log = process.end()
    assert status == 0, log
    assert "Traceback" not in log
    assert left_over(held) == set()


@pytest.mark.parametrize("number", ENDING)
def test_a_model_that_is_being_loaded_is_left_in_one_line(launch, segments_of, number):
    process = launch(command=script(LOADS_FOR_LONG))
    process.wait_for("loading")
    held = set(segments_of(process))
    status, log = process.end(number)
    assert status == 0, log
    assert log.splitlines()[-2:] == ["loading", "interrupted while the model was being loaded"]
    assert left_over(held) == set()


def test_a_shutdown_that_hangs_ends_itself_and_shows_where(launch, segments_of):
    process = launch(command=script(HANGS.format(seconds=5)))
    process.wait_for("active: taking clouds")
    segments_of(process)
    status, log = process.end(signal.SIGINT)
    assert status == -signal.SIGALRM, log
    assert 'File "<string>", line 10 in close' in log


def test_a_shutdown_that_hangs_can_be_ended_by_sigquit(launch, segments_of):
    process = launch(command=script(HANGS.format(seconds=600)))
    process.wait_for("active: taking clouds")
    segments_of(process)
    process.process.send_signal(signal.SIGINT)
    process.wait_for("closing")
    for number in ENDING:
        process.process.send_signal(number)
    # It would have ended within this time.
    time.sleep(1)
    assert process.process.poll() is None
    status, log = process.end(signal.SIGQUIT)
    assert status == -signal.SIGQUIT, log


def test_a_process_that_nohup_protects_outlives_its_terminal(launch):
    process = launch(command=["nohup", *NODE])
    process.wait_for("active: taking clouds")
    process.process.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert process.process.poll() is None
    status, log = process.end(signal.SIGTERM)
    assert status == 0, log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", ["detector", "cloud_player"])
def test_a_program_that_is_still_importing_ends_without_a_word(program, number):
    command = [*script(IMPORTS_FOR_LONG), str(ROOT / "scripts" / "executables" / program)]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr.readline() == "importing\n"
        process.send_signal(number)
        assert process.stderr.read() == ""
        assert process.wait(WAIT_S) == 0
