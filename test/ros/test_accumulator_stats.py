"""The statistics of the accumulator: one message for each frame in the map, in agreement with the diagnostics."""

import math

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("nav_msgs", reason="nav_msgs and std_srvs are not installed")

import numpy as np
from camera_topics import CameraTopics, raw
from dspdet3d_ros.msg import AccumulatorStats
from node_process import ACCUMULATOR, Process, Remote

from dspdet3d_ros.ros.interface.qos import LATCHED
from dspdet3d_ros.ros.interface.topics import STATS

NODE = "/stats/accumulator"
PARAMETERS = {"pose_source": "odometry", "voxel_size": 0.02, "publish_rate_hz": 20.0, "tf_timeout_s": 2.0}


@pytest.fixture(scope="module")
def remote():
    with Process(None, ACCUMULATOR, namespace="/stats", **PARAMETERS) as process:
        process.wait_for("active: taking depth images")
        with Remote(NODE, outputs=(), profile=None) as remote:
            yield remote


@pytest.fixture(scope="module")
def camera(remote):
    return CameraTopics(remote)


def by_kind(stats):
    return dict(zip(stats.refused_kinds, stats.refused_counts, strict=True))


def all_zero(message):
    return raw(np.zeros((message.height, message.width), np.uint16), "16UC1", message.header)


def test_each_frame_in_the_map_has_its_figures_and_all_frames_are_counted(camera):
    stats = camera.stats
    camera.stream(lambda: len(stats) >= 5 and stats[-1].cloud_points > 2000, "statistics")
    for one in stats:
        assert one.header.frame_id == "odom"
        assert one.device == "cpu"
        assert one.points > 1000
        assert one.voxels >= one.new_voxels
        assert one.map_bytes > 10_000
        assert list(one.stage_names)[:2] == ["read", "map"]
        assert len(one.stage_ms) == len(one.stage_names) <= 3
        assert one.total_ms == pytest.approx(sum(one.stage_ms))
        assert one.latency_ms >= one.total_ms
        # The stamps of the test begin at 100 s.
        assert one.age_ms > 1e9
        # At most one frame is worked on and one waits.
        assert 0 <= one.frames_received - one.frames_processed - one.frames_dropped - one.frames_refused <= 2
    assert all(one.new_voxels == one.voxels for one in stats if one.frames_processed == 1)
    assert any(list(one.stage_names)[-1] == "cloud" for one in stats)
    assert max(one.pairs for one in stats) > 200
    # Less than a voxel, also if a busy machine drops most frames.
    assert all(one.correction_m < 0.02 for one in stats)
    # Every frame in the map once, in the order of the stamps.
    stamps = [(one.header.stamp.sec, one.header.stamp.nanosec) for one in stats]
    assert stamps == sorted(set(stamps))
    numbers = [one.frames_processed for one in stats]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_refused_frames_are_counted_by_kind_as_in_the_diagnostics(camera):
    before, _ = camera.refused("no pixel has a depth", depth=all_zero)
    values = camera.settled()
    last = camera.stats[-1]
    key = "faults of kind frame_depth"
    assert int(values[key]) == by_kind(last)["frame_depth"] == int(before.get(key, 0)) + 1
    assert sum(last.refused_counts) == last.frames_refused
    # All frames that were sent have been worked on: both say the same.
    for name in ("received", "processed", "dropped", "refused"):
        assert int(values[f"frames_{name}"]) == getattr(last, f"frames_{name}"), name
    assert int(values["voxels"]) == last.voxels
    assert float(values["map_memory_mb"]) == pytest.approx(last.map_bytes / 1e6, abs=0.1)
    assert float(values["correction_mm"]) == pytest.approx(last.correction_m * 1000, abs=0.1)


def test_somebody_who_comes_later_gets_the_last_one(camera):
    camera.stream(lambda: camera.stats[-1].frames_processed >= 5, "frames")
    with Remote(NODE, outputs=(), profile=None) as late:
        stats = []
        late.node.create_subscription(AccumulatorStats, f"{NODE}/{STATS}", stats.append, LATCHED)
        late.until(lambda: stats, "the latched statistics")
        assert not math.isnan(stats[-1].age_ms)
        assert stats[-1].frames_processed >= 5
