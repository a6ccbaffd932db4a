"""Findings of `doctor` on ROS, its middleware, its messages and the machine's memory."""

from pathlib import Path

import pytest

from dspdet3d_ros.ros.interface import fastdds
from dspdet3d_ros.ros.tools import ros_checks
from dspdet3d_ros.tools.doctor.finding import Severity

DISCOVERY = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY")


@pytest.fixture
def clean(monkeypatch):
    for name in (*DISCOVERY, *fastdds.PROFILE_VARIABLES, "ROS_DISTRO"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("variable", "value", "level", "text"),
    [
        ("ROS_DOMAIN_ID", "42", Severity.OK, "42"),
        ("ROS_DOMAIN_ID", "150", Severity.WARNING, "150"),
        ("ROS_DOMAIN_ID", "233", Severity.PROBLEM, "'233'"),
        ("ROS_DOMAIN_ID", "home", Severity.PROBLEM, "'home'"),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET", Severity.OK, "SUBNET"),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST", Severity.OK, "this machine only"),
        ("ROS_LOCALHOST_ONLY", "1", Severity.OK, "this machine only"),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF", Severity.WARNING, "no other process"),
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "PLANET", Severity.PROBLEM, "'PLANET'"),
    ],
)
def test_whom_the_node_sees(clean, variable, value, level, text):
    assert [finding.level for finding in ros_checks.domain()] == [Severity.OK, Severity.OK]
    clean.setenv(variable, value)
    finding = list(ros_checks.domain())[0 if variable == "ROS_DOMAIN_ID" else 1]
    assert finding.level == level
    assert text in finding.found
    assert bool(finding.fix) == (level != Severity.OK)


@pytest.fixture
def fast_dds(clean):
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    if "fastrtps" not in rclpy.get_rmw_implementation_identifier():
        pytest.skip("another middleware than Fast DDS")
    return clean


@pytest.mark.parametrize(("distro", "variable"), [("kilted", 0), ("", 0), ("jazzy", 1), ("humble", 1)])
def test_the_profile_is_looked_for_in_the_variable_of_the_distribution(fast_dds, distro, variable):
    variable, other = fastdds.PROFILE_VARIABLES[variable], fastdds.PROFILE_VARIABLES[1 - variable]
    fast_dds.setenv("ROS_DISTRO", distro)
    (finding,) = ros_checks.profile()
    assert finding.level == Severity.WARNING
    assert f"set {variable} to {fastdds.profile_file()}" in finding.fix
    fast_dds.setenv(other, str(fastdds.profile_file()))
    (finding,) = ros_checks.profile()
    assert f"{other} is set, but this ROS reads {variable}" in finding.found
    fast_dds.setenv(variable, str(fastdds.profile_file()))
    assert [finding.level for finding in ros_checks.profile()] == [Severity.OK]


@pytest.mark.parametrize(("contents", "text"), [(None, "No such file"), ("<profiles>", "no XML")])
def test_a_profile_that_cannot_be_read_is_reported(fast_dds, tmp_path, contents, text):
    path = tmp_path / "profile.xml"
    if contents:
        path.write_text(contents)
    fast_dds.setenv(fastdds.profile_variable(), str(path))
    (finding,) = ros_checks.profile()
    assert finding.level == Severity.WARNING
    assert text in finding.found


def test_shared_memory_that_is_small_or_full_of_left_overs_is_reported(tmp_path, monkeypatch):
    (tmp_path / "fastdds_0123456789abcdef").write_bytes(b"\1" * 5_000_000)
    (tmp_path / "others").write_bytes(b"\1" * 5_000_000)
    monkeypatch.setattr(ros_checks, "SHM_WANTED", 1)
    room, left = ros_checks.shared_memory(tmp_path)
    assert (room.level, left.level) == (Severity.OK, Severity.OK)
    assert left.found.startswith("1 files of Fast DDS, 4 MiB")
    monkeypatch.setattr(ros_checks, "SHM_WANTED", 1 << 62)
    monkeypatch.setattr(ros_checks, "LEFT_OVER_SHARE", 0.0)
    room, left = ros_checks.shared_memory(tmp_path)
    assert (room.level, left.level) == (Severity.WARNING, Severity.WARNING)
    assert f"rm {tmp_path}/fastrtps_*" in left.fix
    (missing,) = ros_checks.shared_memory(tmp_path / "missing")
    assert missing.level == Severity.WARNING


def test_a_file_that_is_in_use_is_no_left_over():
    if not Path("/dev/shm").is_dir():
        pytest.skip("no /dev/shm")
    import mmap

    path = Path("/dev/shm") / "fastdds_of_this_test"
    try:
        path.write_bytes(b"\0" * mmap.PAGESIZE)
        assert path in ros_checks.left_over(path.parent)
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0):
            assert path not in ros_checks.left_over(path.parent)
    finally:
        path.unlink()


def test_socket_buffers_matter_where_clouds_come_from_other_machines(clean, tmp_path):
    file = tmp_path / "rmem_max"
    assert "cannot be read" in next(iter(ros_checks.sockets(file))).found
    file.write_text("212992\n")
    (finding,) = ros_checks.sockets(file)
    assert finding.level == Severity.WARNING
    assert "net.core.rmem_max=" in finding.fix
    clean.setenv("ROS_LOCALHOST_ONLY", "1")
    assert next(iter(ros_checks.sockets(file))).level == Severity.OK
    clean.delenv("ROS_LOCALHOST_ONLY")
    file.write_text("33554432\n")
    assert next(iter(ros_checks.sockets(file))).level == Severity.OK


def test_the_messages_of_this_installation_are_found():
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    (finding,) = ros_checks.messages()
    assert finding.level == Severity.OK
    assert finding.found == ", ".join(ros_checks.MESSAGES)
