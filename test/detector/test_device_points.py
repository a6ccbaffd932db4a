"""What is done to points on a GPU is what is done to them on the CPU."""

import numpy as np
import pytest
import torch

from dspdet3d_ros.detector.device_points import prepare
from dspdet3d_ros.detector.points import training_origin, usable_points

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("recenter", [True, False])
@pytest.mark.parametrize(
    ("count", "kind", "most"), [(1000, "f4", 5000), (1000, ">f8", 100), (1, "f4", 5), (0, "f4", 5), (50, "i2", 9)]
)
def test_points_and_origin_are_those_of_the_cpu(device, recenter, count, kind, most):
    xyz = np.random.default_rng(0).uniform(-3, 3, (count, 3)).astype(kind)
    if count == 1000:
        xyz[::7, 1] = np.nan
        xyz[3] = np.inf
    kept = usable_points(xyz, most)
    expected = training_origin(kept) if recenter and count else np.zeros(3)
    points, origin = prepare(xyz, torch.device(device), most, recenter)
    assert points.dtype == torch.float32
    np.testing.assert_allclose(origin.cpu().numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(points.cpu().numpy(), kept - expected, atol=1e-6)


def test_a_cloud_that_may_not_be_written_to_is_left_as_it_is():
    xyz = np.ones((4, 3), np.float32)
    xyz.setflags(write=False)
    points, _ = prepare(xyz, torch.device("cpu"), 10, True)
    assert not points.any()
    assert (xyz == 1).all()
