"""The node's process, from its start to its exit status."""

import gc
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.signals import SignalHandlerOptions, install_signal_handlers

from dspdet3d_ros.errors import text_of
from dspdet3d_ros.ros import signals
from dspdet3d_ros.system import wait_without_spinning

# How long the end of the process waits for a cloud that is being processed; ros2 launch sends SIGKILL after 10 s.
LAST_CLOUD_S = 3.0


def run(make_node: Callable[[], Any], args: list[str] | None = None) -> int:
    """Runs a node until a signal (see `signals`) or a shutdown of ROS, then ends the process with status 0.

    The status is 1 if the GPU is lost, so that a launch file with `respawn` starts another process. It is 1, too, if
    ROS cannot be initialised with these arguments; one line gives the reason.

    Args:
        make_node: makes the node, which has `lost` and `close(timeout_s)`, once ROS is initialised.
        args: of the command line.

    Returns:
        The status, if there was no node: otherwise the process has ended.
    """
    wait_without_spinning()
    signals.remember()
    node, initialised, status = None, False, 0
    try:
        arguments = _without_log_file(sys.argv if args is None else args)
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
        initialised = True
        node = make_node()
        # They end the executor, and call those of `signals`. While the node was made they would have ended ROS.
        install_signal_handlers()
        if not signals.asked_to_end():
            rclpy.spin(node)
    except ExternalShutdownException:
        pass
    except signals.Interrupted as interruption:
        print(interruption, file=sys.stderr)
    except Exception as error:
        # Arguments for ROS that cannot be parsed, a parameter file that is not there, a use_sim_time that is no bool.
        if not initialised or (node is None and isinstance(error, ParameterException)):
            print(f"cannot start: {text_of(error)}; correct the arguments", file=sys.stderr)
            status = 1
        # A signal may end ROS between any two steps, and then whatever comes next fails in its own way.
        elif rclpy.ok():
            raise
    finally:
        signals.ignore()
        if node is not None:
            status = 1 if node.lost else 0
            node.close(LAST_CLOUD_S)
            node.destroy_node()
        rclpy.try_shutdown()
    if node is not None:
        # Python's own end takes seconds with torch, and aborts if torch is at work, half imported or has lost its GPU.
        _free_shared_memory(node)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _free_shared_memory(node: Any) -> None:
    """Frees the shared memory of DDS in /dev/shm, which otherwise happens only at a regular end of Python.

    It is freed with the last handle of ROS, and a destroyed node still has some handles.
    """
    context = node.context
    vars(node).clear()
    context.destroy()
    gc.collect()


def _without_log_file(args: list[str]) -> list[str]:
    """The arguments, with one that turns the log file off if it cannot be written: ROS would not start."""
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
    """The folder of the log files of ROS (rcl_logging_interface, rcl_logging_get_logging_directory)."""
    if os.environ.get("ROS_LOG_DIR"):
        return Path(os.environ["ROS_LOG_DIR"])
    return Path(os.environ.get("ROS_HOME") or Path(os.environ["HOME"]) / ".ros") / "log"
