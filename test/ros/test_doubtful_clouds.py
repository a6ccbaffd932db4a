"""The real node says in its log and in /diagnostics why the boxes of a doubtful cloud may be wrong, with advice."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("torch")

from node_process import Process
from std_msgs.msg import Header

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.ros.faults import Level
from dspdet3d_ros.ros.interface.messages import cloud_message

HEADER = Header(frame_id="map")
# The model of the package with its own weights: what is plausible is known of it.
DEFAULT = SimpleNamespace(model="small", checkpoint="''")


@pytest.fixture(scope="module")
def process():
    process = Process(DEFAULT)
    yield process
    process.close()


@pytest.fixture(scope="module")
def corner():
    """A corner of the demo scene: floor, walls and a table, 2 x 2 m."""
    xyz = read_cloud(DEMO_CLOUD).xyz
    return xyz[(xyz[:, :2] < np.median(xyz[:, :2], axis=0)).all(1)]


def map_of_voxels(xyz, edge):
    return (np.unique(np.floor(xyz / edge), axis=0) + 0.5) * edge


def ask(remote, xyz):
    return remote.ask(cloud_message(HEADER, xyz.astype(np.float32)))


def remarks(values):
    return {key.removeprefix("remark of kind ") for key in values if key.startswith("remark of kind ")}


def test_each_doubt_is_kept_while_it_lasts_and_a_good_cloud_clears_it(remote, process, corner):
    for _ in range(2):
        array = ask(remote, map_of_voxels(corner, 0.05))[0]
    assert array.header.frame_id == "map", "a doubtful cloud is answered like any other"
    values = remote.healthy(Level.WARN, "active; doubtful cloud: the points are the centres of voxels of 5 cm")
    assert remarks(values) == {"density"}
    assert "RTAB-Map: Grid/CellSize" in values["remark of kind density"]
    assert "RTAB-Map: Grid/CellSize" in process.wait_for("doubtful cloud (density, 1 so far)")
    assert not process.has("doubtful"), "each is logged once"

    # The fewer points, the sooner: each is alone.
    array = ask(remote, corner[::100] * 1000)[0]
    assert array.header.frame_id == "map", "a doubtful cloud is answered like any other"
    values = remote.healthy(Level.WARN, "are its coordinates millimetres")
    assert remarks(values) == {"unit"}
    assert "Publish metres" in values["remark of kind unit"]
    process.wait_for("doubtful cloud (unit, 1 so far)")

    ask(remote, corner[:, [0, 2, 1]] * (1, 1, -1))
    assert remarks(remote.healthy(Level.WARN, "set target_frame to a frame with z up")) == {"up_axis"}

    ask(remote, corner)
    assert remarks(remote.healthy(Level.OK, "active")) == set()
