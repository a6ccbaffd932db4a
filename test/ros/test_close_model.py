"""The real node with the model for small objects that are seen from near."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("torch")

from node_process import Process
from std_msgs.msg import Header

from dspdet3d_ros.detector.config import load_model_config
from dspdet3d_ros.ros.faults import Level
from dspdet3d_ros.ros.interface.messages import cloud_message

HEADER = Header(frame_id="map")
SPACING = 0.004


@pytest.fixture(scope="module")
def process():
    # Empty quotes: without them the parameter would have no value.
    process = Process(SimpleNamespace(model="close", checkpoint="''"))
    yield process
    process.close()


def plate(low, high, z):
    x, y = np.mgrid[low[0] : high[0] : SPACING, low[1] : high[1] : SPACING].reshape(2, -1)
    return np.stack([x, y, np.full_like(x, z)], 1)


def cuboid(low, high):
    """The top and the four sides of a box, as points."""
    xyz = np.stack(np.meshgrid(*(np.arange(a, b, SPACING) for a, b in zip(low, high, strict=True))), -1).reshape(-1, 3)
    inner = (xyz[:, :2] > np.add(low[:2], SPACING)) & (xyz[:, :2] < np.subtract(high[:2], 2 * SPACING))
    return xyz[~inner.all(1) | (xyz[:, 2] > high[2] - 1.5 * SPACING)]


def tray():
    """A plate of 0.6 x 0.5 m with four boxes of 6 to 8 cm."""
    boxes = [cuboid((x, y, 0), (x + 0.08, y + 0.06, 0.07)) for x in (0.1, 0.4) for y in (0.1, 0.3)]
    return np.concatenate([plate((0, 0), (0.6, 0.5), 0), *boxes])


def ask(remote, xyz):
    noise = np.random.default_rng(0).normal(0, 0.001, xyz.shape)
    return remote.ask(cloud_message(HEADER, (xyz + noise).astype(np.float32)))


def test_the_node_finds_small_boxes_in_a_tray_and_says_that_a_room_is_for_the_other_model(remote, process):
    found = ask(remote, tray())[0].detections
    assert len(found) >= 3
    classes = {result.hypothesis.class_id for box in found for result in box.results}
    assert classes <= set(load_model_config("close").classes)
    remote.healthy(Level.OK, "active")
    assert remote.get("views") == 2

    assert ask(remote, np.concatenate([tray(), plate((0.6, 0), (4.5, 1.0), 0)]))[0].detections
    values = remote.healthy(Level.WARN, "doubtful cloud: the cloud spans 4.4")
    assert "set model to small" in values["remark of kind room"]
    process.wait_for("doubtful cloud (room, 1 so far)")
