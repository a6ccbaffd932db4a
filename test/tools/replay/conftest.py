"""A recording for tests of replays."""

import numpy as np
import pytest

from dspdet3d_ros.clouds.files import read_cloud
from dspdet3d_ros.defaults import DEMO_CLOUD

FRAMES = 16
# Frames of the beginning, in which the camera sees objects.
RATE_HZ = 8.0


@pytest.fixture(scope="session")
def walk(tmp_path_factory):
    """A recording of part of the demo room."""
    pytest.importorskip("rosbags")
    from dspdet3d_ros.recordings.record_demo import record_demo

    path = tmp_path_factory.mktemp("bags") / "walk"
    cloud = read_cloud(DEMO_CLOUD)
    near = cloud.xyz[:, 0] > 0
    record_demo(path, cloud.xyz[near].astype(np.float64), cloud.rgb[near], FRAMES, RATE_HZ)
    return path


@pytest.fixture(scope="session")
def replayed(walk, tmp_path_factory):
    """The folder of its results, and their summary."""
    from replaying import run

    out = tmp_path_factory.mktemp("out")
    return out / "walk", run(walk, out, period_s=0.5)
