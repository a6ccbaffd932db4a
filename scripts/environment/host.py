"""Checks of the machine: Python, build tools, ROS 2, NVIDIA GPU."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path

from console import SetupError

OLDEST_PYTHON = (3, 10)
NEWEST_WHEEL_PYTHON = (3, 13)
OLDEST_CMAKE = (3, 20)
BUILD_TOOLS = ("g++", "cmake", "make")  # programs; the Debian packages have the same names
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
INDEX_TIMEOUT_S = 5.0

# Variables of other ROS installations and Python environments. Each makes the ROS of this environment load wrong files.
FOREIGN_VARIABLES = (
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "RMW_IMPLEMENTATION",
    "ROS_DISTRO",
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
)
# If make runs the set-up, its job server and terminal must not be passed on to the make processes of the builds.
MAKE_VARIABLES = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MAKE_TERMERR", "MAKE_TERMOUT", "MFLAGS")


def sourced_ros() -> str | None:
    """The distribution of the ROS 2 installation that is sourced and works with this Python, or None."""
    distribution = os.environ.get("ROS_DISTRO")
    if not distribution:
        return None
    probe = subprocess.run([sys.executable, "-c", "import rclpy, rosidl_generator_py"], capture_output=True)
    if probe.returncode:
        print(f"ROS_DISTRO is {distribution}, but {sys.executable} cannot import its rclpy: using the ROS 2 wheels.")
        return None
    return distribution


def check_python(with_ros: bool) -> None:
    """Raises SetupError if the environment does not support this Python."""
    version = sys.version_info[:2]
    text = f"{version[0]}.{version[1]}"
    if version < OLDEST_PYTHON:
        raise SetupError(f"Python {text} is too old, 3.10 or newer is needed: make PYTHON=python3.11 ...")
    if not with_ros and version > NEWEST_WHEEL_PYTHON:
        raise SetupError(f"ROS 2 wheels exist for Python 3.10 to 3.13, this is {text}: make PYTHON=python3.13 ...")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        raise SetupError(f"Python's venv module is missing: sudo apt install python{text}-venv") from None


def check_build_tools() -> None:
    """Raises SetupError if messages cannot be compiled."""
    missing = [tool for tool in BUILD_TOOLS if shutil.which(tool) is None]
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.is_file():
        missing.append(f"python{sys.version_info[0]}.{sys.version_info[1]}-dev")
    if missing:
        raise SetupError(f"tools to build the ROS messages are missing: sudo apt install {' '.join(missing)}")
    found = subprocess.run(["cmake", "--version"], capture_output=True, text=True).stdout
    version = re.search(r"(\d+)\.(\d+)", found)
    if version is None or (int(version[1]), int(version[2])) < OLDEST_CMAKE:
        raise SetupError(f"cmake 3.20 or newer is needed, found: {found.splitlines()[0] if found else 'nothing'}")


def has_nvidia_gpu() -> bool:
    """Whether this machine has an NVIDIA GPU."""
    if Path("/dev/nvidia0").exists():
        return True
    if shutil.which("nvidia-smi") is None:
        return False
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    return listing.returncode == 0 and "GPU" in listing.stdout


def cpu_index_answers() -> bool:
    """Whether the index with the CPU builds of torch answers within a few seconds."""
    try:
        with urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=INDEX_TIMEOUT_S) as reply:
            return reply.status == 200
    except OSError:
        return False


def build_environment(venv: Path, with_ros: bool) -> dict[str, str]:
    """The environment variables for the commands of the set-up."""
    environment = {name: value for name, value in os.environ.items() if name not in MAKE_VARIABLES}
    if not with_ros:
        for name in FOREIGN_VARIABLES:
            environment.pop(name, None)
    for name in ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH"):
        environment[name] = os.pathsep.join(filter(None, [str(venv), environment.get(name)]))
    if with_ros:
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(
            filter(None, [str(venv / "lib"), environment.get("LD_LIBRARY_PATH")])
        )
    environment["PATH"] = os.pathsep.join([str(venv / "bin"), environment.get("PATH", "")])
    environment.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONUNBUFFERED="1", VIRTUAL_ENV=str(venv))
    return environment
