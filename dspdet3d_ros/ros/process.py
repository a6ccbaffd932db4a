"""The node's process: from its start to an end with the right status."""

import gc
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException

from dspdet3d_ros.errors import text_of
from dspdet3d_ros.ros.pipeline.worker import THREAD_NAME
from dspdet3d_ros.system import wait_without_spinning

# How long the end of the process waits for a cloud that is being worked on; ros2 launch loses patience after 5 s.
LAST_CLOUD_S = 3.0


def run(make_node: Callable[[], Any], args: list[str] | None = None) -> int:
    """Runs a node until SIGINT, SIGTERM or a shutdown of ROS; that is its proper end, with status 0.

    Where the GPU is lost to this process the status is 1, for a launch file with `respawn` to start it anew; also where
    ROS cannot be initialised with these arguments, which one line says.

    Args:
        make_node: makes the node, which has `lost` and `close(timeout_s)`, once ROS is initialised.
        args: of the command line.
    """
    wait_without_spinning()
    asked_to_end = threading.Event()
    # No KeyboardInterrupt: where it strikes inside rclpy's C++ code it aborts the process. rclpy's own handlers, which
    # call these in turn, end the executor.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_end.set())
    node, initialised, status = None, False, 0
    try:
        rclpy.init(args=_without_log_file(sys.argv if args is None else args))
        initialised = True
        node = make_node()
        if not asked_to_end.is_set():
            rclpy.spin(node)
    except ExternalShutdownException:
        pass
    except Exception as error:
        if not initialised:
            # Arguments for ROS that cannot be parsed, or a parameter file that is not there.
            print(f"cannot start: {text_of(error)}; correct the arguments", file=sys.stderr)
            status = 1
        # A signal may end ROS between any two steps, and then whatever comes next fails in its own way.
        elif rclpy.ok():
            raise
    finally:
        if node is not None:
            status = 1 if node.lost else 0
            node.close(LAST_CLOUD_S)
            node.destroy_node()
        rclpy.try_shutdown()
    if status or any(thread.name == THREAD_NAME for thread in threading.enumerate()):
        # Python cannot end while torch works in another thread, nor torch with a lost GPU: they would abort.
        if node is not None:
            _free_shared_memory(node)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _free_shared_memory(node: Any) -> None:
    """Takes down what DDS holds in /dev/shm, which else happens only when Python ends by itself.

    It goes with the last handle of ROS, and a destroyed node still has some.
    """
    context = node.context
    vars(node).clear()
    context.destroy()
    gc.collect()


def _without_log_file(args: list[str]) -> list[str]:
    """The arguments, with one that keeps ROS from writing a log file where it could not: it would not start."""
    try:
        folder = _log_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"full?")
    except (OSError, KeyError):
        print("no log file is written: its folder cannot be used (set ROS_LOG_DIR)", file=sys.stderr)
        return [*args, "--ros-args", "--disable-external-lib-logs"]
    return args


def _log_folder() -> Path:
    """Where ROS writes log files (rcl_logging_interface, rcl_logging_get_logging_directory)."""
    if os.environ.get("ROS_LOG_DIR"):
        return Path(os.environ["ROS_LOG_DIR"])
    return Path(os.environ.get("ROS_HOME") or Path(os.environ["HOME"]) / ".ros") / "log"
