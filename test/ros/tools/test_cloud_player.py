"""The player as a process publishes its cloud again and again, also for those who come later."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from limits import WAIT_S
from node_process import Process, Remote
from own_domain import DOMAIN
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import PointCloud2

from dspdet3d_ros.clouds.pointcloud2 import decode
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.ros.interface.fastdds import PROFILE_VARIABLES, profile_variable
from dspdet3d_ros.ros.interface.qos import LATCHED
from dspdet3d_ros.ros.interface.topics import STATS
from dspdet3d_ros.ros.tools.shared_memory import SHARED_MEMORY, left_over, segments

PLAYER = str(Path(__file__).resolve().parents[3] / "scripts" / "executables" / "cloud_player")


def play(*arguments, command=(sys.executable, PLAYER)):
    """Starts the player with ROS arguments."""
    return subprocess.Popen(
        [*command, "--ros-args", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
    )


def end(player):
    """Ends the player as Ctrl-C does; its status and what it wrote."""
    player.send_signal(signal.SIGINT)
    try:
        _, log = player.communicate(timeout=WAIT_S)
    finally:
        player.kill()
    return player.returncode, log


@pytest.fixture
def remote():
    remote = Remote()
    yield remote
    remote.close()


@pytest.fixture
def file(tmp_path, points):
    rgb = np.random.default_rng(0).integers(0, 256, points.shape, dtype=np.uint8)
    np.savez(tmp_path / "cloud.npz", xyz=points, rgb=rgb)
    return tmp_path / "cloud.npz"


def test_a_cloud_of_a_file_comes_again_and_again_under_new_stamps(remote, file, points):
    player = play("-p", f"cloud:={file}", "-p", "frame_id:=odom", "-p", "period_s:=1", "-r", "__ns:=/a")
    received = []
    before = remote.node.get_clock().now().nanoseconds
    remote.node.create_subscription(PointCloud2, "/a/cloud_player/output/points", received.append, LATCHED)
    remote.until(lambda: len(received) >= 3, "three clouds")
    status, log = end(player)
    assert status == 0, log
    assert "Traceback" not in log
    assert f"publishing {file} (3000 points, frame 'odom') on /a/cloud_player/output/points every 1 s" in log
    stamps = [message.header.stamp.sec * 10**9 + message.header.stamp.nanosec for message in received]
    assert before < stamps[0] < stamps[1] < stamps[2]
    for message in received:
        assert message.header.frame_id == "odom"
        cloud = decode(message, with_rgb=True)
        np.testing.assert_array_equal(cloud.xyz, points)
        np.testing.assert_array_equal(cloud.rgb, np.load(file)["rgb"])


def test_a_bin_has_as_many_columns_as_one_says(remote, tmp_path, points):
    np.column_stack([points, np.full(len(points), 0.5)]).astype("<f4").tofile(tmp_path / "scan.bin")
    player = play("-p", f"cloud:={tmp_path / 'scan.bin'}", "-p", "columns:=4", "-r", "__ns:=/c")
    received = []
    remote.node.create_subscription(PointCloud2, "/c/cloud_player/output/points", received.append, LATCHED)
    remote.until(lambda: received, "a cloud")
    status, log = end(player)
    assert status == 0, log
    np.testing.assert_array_equal(decode(received[0]).xyz, points)


def test_a_cloud_of_another_axis_and_unit_is_published_in_metres_with_z_up(remote, tmp_path, points):
    np.savez(tmp_path / "camera.npz", xyz=points[:, [0, 2, 1]] * (1000, 1000, -1000))
    player = play(
        *("-p", f"cloud:={tmp_path / 'camera.npz'}", "-p", "up:=y", "-p", "unit:=mm", "-p", "period_s:=1"),
        *("-r", "__ns:=/d"),
    )
    received = []
    remote.node.create_subscription(PointCloud2, "/d/cloud_player/output/points", received.append, LATCHED)
    remote.until(lambda: received, "a cloud")
    status, log = end(player)
    assert status == 0, log
    np.testing.assert_allclose(decode(received[0]).xyz, points, atol=1e-6)


def test_sensor_msgs_py_reads_the_cloud(remote, file, points):
    point_cloud2 = pytest.importorskip(
        "sensor_msgs_py.point_cloud2", reason="sensor_msgs_py comes with a ROS installation only"
    )
    player = play("-p", f"cloud:={file}", "-p", "period_s:=1", "-r", "__ns:=/b")
    received = []
    remote.node.create_subscription(PointCloud2, "/b/cloud_player/output/points", received.append, LATCHED)
    remote.until(lambda: received, "a cloud")
    status, log = end(player)
    assert status == 0, log
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(received[0], ["x", "y", "z"]), points)
    packed = np.load(file)["rgb"].astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    table = point_cloud2.read_points(received[0], ["rgb"])
    np.testing.assert_array_equal(np.ascontiguousarray(table["rgb"]).view(np.uint32), packed)


def test_who_comes_late_gets_the_cloud_that_was_published_and_the_detector_answers_it(remote, tiny, file):
    player = play("-p", f"cloud:={file}", "-p", "period_s:=86400", "-r", "~/output/points:=/dspdet3d/input/points")
    # The player is then the only publisher, which the detector follows.
    remote.node.destroy_publisher(remote.input)
    remote.until(lambda: remote.node.count_publishers("/dspdet3d/input/points") == 1, "the player")
    # It has published by now; the only cloud there will be is the latched one.
    detector = Process(tiny)
    try:
        remote.until(lambda: remote.received[STATS], "an answer")
        assert remote.received[STATS][0].points_in == 3000
    finally:
        detector.close()
        status, log = end(player)
    assert status == 0, log


def shared_memory_of(player):
    """The largest segment of a process, in bytes."""
    return max(((SHARED_MEMORY / name).stat().st_size for name in segments(player.pid)), default=0)


@pytest.mark.parametrize("given", [False, True], ids=["by_itself", "the_user_has_a_profile"])
def test_the_player_has_the_profile_for_large_clouds_unless_the_user_has_one(file, monkeypatch, tmp_path, given):
    if get_rmw_implementation_identifier() != "rmw_fastrtps_cpp" or not SHARED_MEMORY.is_dir():
        pytest.skip("only Fast DDS has profiles, and shared memory is where one sees them")
    for variable in PROFILE_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    if given:
        (tmp_path / "own.xml").write_text('<dds xmlns="http://www.eprosima.com"><profiles/></dds>')
        monkeypatch.setenv(profile_variable(), str(tmp_path / "own.xml"))
    # Alone in its domain: it would map the segments of others too.
    player = play("-p", f"cloud:={file}")
    assert any("publishing" in line for line in iter(player.stderr.readline, ""))
    # What config/fastdds_large_clouds.xml asks for, and about half a megabyte without it.
    assert (shared_memory_of(player) > 60_000_000) != given
    status, log = end(player)
    assert status == 0, log


def test_a_file_that_is_being_read_is_left_in_one_line(tmp_path):
    # Reads the file again and again: there is time to interrupt it.
    code = (
        "import sys\n"
        "from dspdet3d_ros.ros.tools import cloud_player\n"
        "real = cloud_player.read_cloud\n"
        "def read_cloud(*arguments):\n"
        "    print('reading', file=sys.stderr, flush=True)\n"
        "    while True:\n"
        "        real(*arguments)\n"
        "cloud_player.read_cloud = read_cloud\n"
        "sys.exit(cloud_player.main())"
    )
    player = play(command=[sys.executable, "-c", code])
    assert player.stderr.readline() == "reading\n"
    held = segments(player.pid)
    status, log = end(player)
    assert (status, log) == (0, f"interrupted while {DEMO_CLOUD} was being read\n")
    assert left_over(held) == set()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["cloud:=/no/such.ply"], "/no/such.ply: no such file; check the path"),
        (["columns:=-1"], "parameter columns: expected an integer in 0..1000, got -1"),
        (["up:=w"], "parameter up: expected x, y, z, -x, -y or -z, got 'w'"),
        (["unit:=km"], "parameter unit: expected m, cm, mm or ft, got 'km'"),
        (["period_s:=0"], "parameter period_s: expected a number in 0.01..86400, got 0.0"),
        (["period_s:=soon"], "parameter period_s: expected a number in 0.01..86400, got 'soon'"),
    ],
)
def test_what_cannot_be_published_is_said_in_one_line(arguments, text):
    player = play(*[word for argument in arguments for word in ("-p", argument)])
    _, log = player.communicate(timeout=WAIT_S)
    assert (player.returncode, log) == (1, f"cloud_player: {text}\n")
