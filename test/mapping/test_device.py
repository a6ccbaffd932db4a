"""On another device than the CPU nothing of the host enters an operation, and the cloud is the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from box_scene import frame, orbit
from device_check import DEVICE, CheckedDevice

from dspdet3d_ros.mapping.accumulator import Accumulator
from dspdet3d_ros.mapping.frame import Camera
from dspdet3d_ros.mapping.map_settings import MapSettings

SETTINGS = MapSettings(voxel_size=0.02, window_frames=30, window_s=5.0, window_m=2.5, max_jump_m=0.0, max_jump_deg=0.0)


def frames():
    """Frames with registered colour, with the colour of another camera, and without; some see an object vanish."""
    for k, pose in enumerate(3 * orbit(8)):
        one = frame(pose, stamp_s=1 + k / 10, box=k < 8)
        if k % 3 == 1:
            other = Camera(320, 240, 280.0, 280.0, 159.5, 119.5)
            moved = np.eye(4)
            moved[0, 3] = 0.05
            one = replace(one, colour=frame(pose, camera=other).colour, colour_camera=other, colour_from_depth=moved)
        yield one if k % 3 else replace(one, colour=None)


def clouds(device):
    accumulator, removed = Accumulator(SETTINGS, device), 0
    for one in frames():
        removed += accumulator.insert(one).removed_voxels
    assert removed > 0
    found = [accumulator.cloud(), accumulator.cloud(min_observations=1)]
    accumulator.settings = replace(SETTINGS, max_voxels=1000)
    accumulator.insert(frame(orbit(8)[-1], stamp_s=4.0))
    assert len(accumulator) <= 1000
    accumulator.reset()
    return found


def test_no_operation_mixes_tensors_of_host_and_device():
    expected = clouds("cpu")
    with CheckedDevice() as mode:
        found = clouds(DEVICE)
    assert mode.operations > 1000
    for one, other in zip(found, expected, strict=True):
        assert len(one.xyz) > 500
        np.testing.assert_array_equal(one.xyz, other.xyz)
        np.testing.assert_array_equal(one.rgb, other.rgb)


def test_the_check_finds_a_mixture():
    with CheckedDevice():
        there, here = torch.ones(3, device=DEVICE), torch.ones(3)
        assert str(there.device) == DEVICE
        assert str((there * 2).sum().device) == DEVICE
        assert (there + torch.tensor(1.0)).cpu().tolist() == [2.0, 2.0, 2.0]
        for mixed in (lambda: there + here, lambda: torch.cat([here, there]), lambda: here.add_(there)):
            with pytest.raises(AssertionError, match="host and of the device"):
                mixed()
        with pytest.raises(AssertionError, match="numpy"):
            there.numpy()
