"""The work on frames in its thread: a reset while a frame is being worked on and another one waits."""

import threading

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("nav_msgs", reason="nav_msgs and std_srvs are not installed")

from box_scene import orbit, render
from camera_topics import header_of, info, millimetres, raw
from limits import WAIT_S
from rclpy.logging import get_logger

from dspdet3d_ros.mapping.accumulator import Accumulator
from dspdet3d_ros.mapping.map_settings import MapSettings
from dspdet3d_ros.mapping.pairing import ImageSet
from dspdet3d_ros.ros.accumulation.accumulation import Accumulation
from dspdet3d_ros.ros.faults import FaultLog
from dspdet3d_ros.ros.parameters.accumulator_table import AccumulatorSettings

POSE = orbit(12)[0]


class Poses:
    """Knows the pose of the camera once it is allowed to say it."""

    frame = "odom"

    def __init__(self):
        self.asked, self.allowed = threading.Event(), threading.Event()

    def at(self, header, tolerance_s):
        self.asked.set()
        assert self.allowed.wait(WAIT_S)
        return POSE


def images(stamp_s):
    header = header_of(stamp_s)
    return ImageSet(raw(millimetres(render(POSE)[0]), "16UC1", header), info(header), None, None, 0.0)


def test_after_a_reset_nothing_of_earlier_frames_is_in_the_map_or_published():
    settings = AccumulatorSettings(MapSettings(min_observations=1), 100.0, 0.02, True, 1000.0, "a.ply", 60.0)
    poses, frames, published, log = Poses(), [], threading.Event(), get_logger("test_accumulation")

    def publish(cloud):
        if len(cloud.cloud.xyz):
            published.set()

    def report(frame, latency_ms, counts):
        frames.append(frame)

    work = Accumulation(
        Accumulator(settings.map), lambda: settings, poses, None, publish, report, FaultLog(log), log, 1
    )
    work.take(images(1.0))
    assert poses.asked.wait(WAIT_S)
    work.take(images(1.1))
    assert "emptied" in work.reset()
    poses.allowed.set()
    # A frame that comes after the reset is the first of the new map.
    work.take(images(1.2))
    assert published.wait(WAIT_S)
    assert work.worker.stop(WAIT_S)
    assert [frame.header.stamp.nanosec for frame in frames] == [200_000_000]
    assert frames[0].inserted.new_voxels == frames[0].voxels == work.voxels
    assert work.worker.counts.refused == 0
