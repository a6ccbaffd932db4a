"""The node gets a map that grows: what it found before stays where it is and keeps its name."""

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

import numpy as np
from builtin_interfaces.msg import Time
from limits import NEAR_THRESHOLD
from node_process import Process, Remote
from std_msgs.msg import Header

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.defaults import DEMO_CLOUD
from dspdet3d_ros.detector.boxes import iou_matrix
from dspdet3d_ros.detector.config import load_model_config
from dspdet3d_ros.ros.faults import Level
from dspdet3d_ros.ros.interface.messages import cloud_message

SMALL = SimpleNamespace(model="small", checkpoint='""')
SHARES = (0.002, 0.01, 0.1, 0.5)


def boxes(array):
    """(K, 6) of the published boxes, their best names, and the scores of these."""
    parts = [(d.bbox.center.position, d.bbox.size) for d in array.detections]
    names = [d.results[0].hypothesis.class_id for d in array.detections]
    scores = np.array([d.results[0].hypothesis.score for d in array.detections])
    return np.array([(c.x, c.y, c.z, s.x, s.y, s.z) for c, s in parts]), names, scores


@pytest.mark.parametrize("floor", [0.0, -1.2])
def test_a_map_that_grows_message_by_message_keeps_its_boxes_and_names(floor):
    rng, here = np.random.default_rng(0), read_cloud(DEMO_CLOUD).xyz + np.float32([0, 0, floor])
    low, high = here.min(0), here.max(0)
    # Further floor, half a metre outside; the last map also has a stray point and reflections below the floor.
    more = rng.uniform((high[0] + 0.5, low[1], low[2]), (high[0] + 1.5, high[1], low[2] + 0.02), (len(here) // 2, 3))
    below = rng.uniform((*low[:2], low[2] - 3), (*high[:2], low[2] - 2.95), (len(here) // 40, 3))
    maps = [np.concatenate([here, more[: round(share * len(here))]]) for share in SHARES]
    maps.append(np.concatenate([maps[-1], below, [[5000, 0, 1]]]))
    with Process(SMALL, input_reliability="reliable") as process, Remote() as remote:
        process.wait_for("active: taking clouds")
        remote.connect()
        header = Header(stamp=Time(sec=1), frame_id="map")
        before, names, scores = boxes(remote.ask(cloud_message(header, here))[0])
        lasting = scores > load_model_config("small").score_threshold + NEAR_THRESHOLD
        assert lasting.sum() >= 10
        for second, points in enumerate(maps, 2):
            header = Header(stamp=Time(sec=second), frame_id="map")
            array, _, stats = remote.ask(cloud_message(header, points.astype(np.float32)))
            after, new_names, _ = boxes(array)
            overlap = iou_matrix(before, after)
            best, j = overlap.max(axis=1), overlap.argmax(axis=1)
            same = [float(v) > 0.9 and names[i] == new_names[k] for i, (v, k) in enumerate(zip(best, j, strict=True))]
            assert np.mean(np.array(same)[lasting]) >= 0.95, f"map {second}: {same}"
        assert stats.points_out_of_range == 1
        assert remote.healthy(Level.WARN, "doubtful cloud")["faults of kind range"] == "1"
