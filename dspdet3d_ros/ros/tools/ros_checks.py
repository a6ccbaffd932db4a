"""ROS, its middleware and its messages: the checks of `dspdet3d doctor`. Imports ROS inside the checks only."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Iterable
from pathlib import Path

from dspdet3d_ros.errors import text_of
from dspdet3d_ros.ros.interface import fastdds
from dspdet3d_ros.ros.tools.shared_memory import SHARED_MEMORY, in_use
from dspdet3d_ros.tools.doctor.finding import Check, Finding, ok, problem, warning

# One message of each package that the node uses: its type support is loaded.
MESSAGES = {
    "sensor_msgs": "PointCloud2",
    "std_msgs": "Header",
    "geometry_msgs": "Pose",
    "visualization_msgs": "MarkerArray",
    "diagnostic_msgs": "DiagnosticArray",
    "lifecycle_msgs": "State",
    "rcl_interfaces": "SetParametersResult",
    "vision_msgs": "Detection3DArray",
    "dspdet3d_ros": "PruningStats",
}
SHM_FILES = ("fastrtps_*", "fastdds_*")
RMEM_MAX = Path("/proc/sys/net/core/rmem_max")
# Two participants, each with the 64 MiB segment of the profile for large clouds, and as much again for others.
SHM_WANTED = 256 << 20
# The fraction of it that left-overs of ended processes may take.
LEFT_OVER_SHARE = 0.1
# A cloud of 500,000 points of 16 bytes.
LARGE_CLOUD = 8_000_000
# Up to 101 the ports lie below Linux's ephemeral ones, up to 232 there are ports at all (ROS 2 documentation, The
# ROS_DOMAIN_ID).
SAFE_DOMAIN, LAST_DOMAIN = 101, 232
RANGES = ("OFF", "LOCALHOST", "SUBNET", "SYSTEM_DEFAULT", "NOT_SET")
NOT_IMPORTED = 3
ASK_RCLPY = f"""
import sys
try:
    from rclpy.utilities import get_rmw_implementation_identifier
except Exception as error:
    print(" ".join(str(error).split()), file=sys.stderr)
    sys.exit({NOT_IMPORTED})
print(get_rmw_implementation_identifier())
"""
SOURCE = "source /opt/ros/$ROS_DISTRO/setup.bash, with the Python that this ROS was built for"


def ros() -> Iterable[Finding]:
    """rclpy, and the middleware that it loads."""
    distro, asked = os.environ.get("ROS_DISTRO", ""), os.environ.get("RMW_IMPLEMENTATION", "")
    found = importlib.util.find_spec("rclpy")
    status, text = _rclpy()
    if status == 0:
        yield ok("ROS", f"{distro or 'ROS_DISTRO not set (wheels?)'}, rclpy is {found.origin if found else 'there'}")
        yield ok("RMW", f"{text}{'' if asked else ', the default'}")
    elif status == NOT_IMPORTED:
        seen = f"rclpy cannot be imported ({text}), ROS_DISTRO is {distro or 'not set'}"
        yield problem("ROS", seen, f"{SOURCE}; without ROS only the node is missing, the other commands work")
    else:
        package = f"ros-{distro or '$ROS_DISTRO'}-{(asked or 'rmw_fastrtps_cpp').replace('_', '-')}"
        fix = f"apt install {package}, or unset RMW_IMPLEMENTATION"
        yield problem("RMW", f"{asked or 'the default'} cannot be loaded: {text}", fix)


def domain() -> Iterable[Finding]:
    """Settings that decide which other nodes are discovered."""
    text = os.environ.get("ROS_DOMAIN_ID", "")
    number = int(text) if text.isdecimal() else 0 if not text else -1
    if not 0 <= number <= LAST_DOMAIN:
        yield problem("ROS_DOMAIN_ID", repr(text), f"set it to a number of 0 to {SAFE_DOMAIN}, or unset it")
    elif number > SAFE_DOMAIN:
        yield warning("ROS_DOMAIN_ID", text, f"take 0 to {SAFE_DOMAIN}: the ports of others may be taken")
    else:
        yield ok("ROS_DOMAIN_ID", text or "0, the default")
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    local = os.environ.get("ROS_LOCALHOST_ONLY", "") == "1"
    if reach and reach.upper() not in RANGES:
        yield problem("discovery", f"ROS_AUTOMATIC_DISCOVERY_RANGE {reach!r}", f"set it to one of {', '.join(RANGES)}")
    elif reach.upper() == "OFF":
        yield warning(
            "discovery", "OFF: no other process is seen", "set ROS_AUTOMATIC_DISCOVERY_RANGE to LOCALHOST or SUBNET"
        )
    elif local or reach.upper() == "LOCALHOST":
        yield ok("discovery", "this machine only: publishers on others are not seen")
    else:
        yield ok("discovery", f"{reach or 'SUBNET, the default'}")


def profile() -> Iterable[Finding]:
    """Whether large best-effort clouds get through Fast DDS."""
    status, middleware = _rclpy()
    if status or "fastrtps" not in middleware:
        return
    variable = fastdds.profile_variable()
    given = os.environ.get(variable)
    wrong = [name for name in fastdds.PROFILE_VARIABLES if name != variable and name in os.environ and not given]
    how = f"set {variable} to {fastdds.profile_file() or fastdds.PROFILE}, for the publisher too (the launch file does)"
    if wrong:
        yield warning("Fast DDS profile", f"{wrong[0]} is set, but this ROS reads {variable}", how)
    elif not given:
        text = f"{variable} is not set: best-effort clouds above about 0.5 MB are lost"
        yield warning("Fast DDS profile", text, f"{how}, or publish reliably")
    else:
        yield from _profile_file(variable, Path(given))


def shared_memory(folder: Path = SHARED_MEMORY) -> Iterable[Finding]:
    """Space for clouds in shared memory, and left-overs of ended processes.

    Args:
        folder: where it is mounted.
    """
    try:
        space = shutil.disk_usage(folder)
    except OSError as error:
        yield warning("shared memory", f"{folder}: {error.strerror}", "mount it: without it clouds go by UDP")
        return
    found = f"{folder} has {space.total >> 20} MiB, {space.free >> 20} free"
    if space.total < SHM_WANTED:
        fix = f"make it {SHM_WANTED >> 20} MiB: docker run --shm-size={SHM_WANTED >> 20}m, or mount -o remount,size=..."
        yield warning("shared memory", found, fix)
    else:
        yield ok("shared memory", found)
    left = left_over(folder)
    size = sum(_size(path) for path in left)
    found = f"{len(left)} files of Fast DDS, {size >> 20} MiB, that no process of yours uses"
    if size > LEFT_OVER_SHARE * space.total:
        yield warning("left-overs", found, f"end all ROS nodes, then rm {' '.join(str(folder / p) for p in SHM_FILES)}")
    else:
        yield ok("left-overs", found)


def sockets(file: Path = RMEM_MAX) -> Iterable[Finding]:
    """Whether the buffers of the sockets hold a large cloud, if clouds come from other machines.

    Args:
        file: has the largest size of a receive buffer, in bytes.
    """
    try:
        size = int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        yield ok("socket buffers", f"{file} cannot be read")
        return
    found = f"net.core.rmem_max is {size} bytes"
    local = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() in ("OFF", "LOCALHOST")
    if size >= LARGE_CLOUD or local or os.environ.get("ROS_LOCALHOST_ONLY") == "1":
        yield ok("socket buffers", found)
    else:
        fix = f"where clouds come from another machine: sudo sysctl -w net.core.rmem_max={4 * LARGE_CLOUD}"
        yield warning("socket buffers", f"{found}, less than a cloud of 500,000 points", fix)


def messages() -> Iterable[Finding]:
    """The packages of messages, each with its type support."""
    good = []
    for package, name in MESSAGES.items():
        try:
            message = getattr(importlib.import_module(f"{package}.msg"), name)
            type(message).__import_type_support__()
            message()
        except Exception as error:
            own = "build this package (colcon build, or make setup) and source its setup.bash"
            apt = f"apt install ros-$ROS_DISTRO-{package.replace('_', '-')}, and source ROS"
            fix = own if package == "dspdet3d_ros" else apt
            yield problem("messages", f"{package}/{name} cannot be used: {text_of(error)}", fix)
        else:
            good.append(package)
    if good:
        yield ok("messages", ", ".join(good))


def transforms() -> Iterable[Finding]:
    """tf2, which only a target frame needs."""
    if importlib.util.find_spec("tf2_ros") is None:
        fix = "apt install ros-$ROS_DISTRO-tf2-ros-py, or leave target_frame empty"
        yield warning("tf2", "tf2_ros cannot be imported: target_frame cannot be used", fix)
    else:
        yield ok("tf2", "tf2_ros is there")


def _rclpy() -> tuple[int, str]:
    """0 and the middleware's name, or another status and what went wrong.

    Asked in a process of its own: importing rclpy ends the process where the middleware cannot be loaded.
    """
    done = subprocess.run([sys.executable, "-c", ASK_RCLPY], capture_output=True, text=True)
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode, lines[-1] if lines else f"Python ended with status {done.returncode}"


def _profile_file(variable: str, path: Path) -> Iterable[Finding]:
    try:
        xml.etree.ElementTree.parse(path)
    except OSError as error:
        yield warning(
            "Fast DDS profile", f"{variable} is {path}: {error.strerror}", "fix the path: Fast DDS ignores it"
        )
    except xml.etree.ElementTree.ParseError as error:
        yield warning("Fast DDS profile", f"{path} is no XML: {error}", "fix the file: Fast DDS ignores it")
    else:
        yield ok("Fast DDS profile", f"{variable} is {path}")


def left_over(folder: Path) -> list[Path]:
    """Files of Fast DDS that no process whose memory map can be read has mapped."""
    used = in_use(folder)
    files = [path for pattern in SHM_FILES for path in folder.glob(pattern)]
    return [path for path in files if path.name.removesuffix("_el") not in used and path.name not in used]


def _size(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


CHECKS: tuple[tuple[str, Check], ...] = (
    ("ROS", ros),
    ("domain", domain),
    ("Fast DDS profile", profile),
    ("shared memory", shared_memory),
    ("socket buffers", sockets),
    ("messages", messages),
    ("tf2", transforms),
)
