"""Frames in, cloud out: exact surfaces, windows, refusals that leave the map as it is, drift that is corrected."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from box_scene import BOX, FLOOR, frame, looking_at, orbit, surface_distance

from dspdet3d_ros.errors import InputError
from dspdet3d_ros.mapping.accumulator import RESTART_FRAMES, Accumulator
from dspdet3d_ros.mapping.frame import FrameRefused
from dspdet3d_ros.mapping.map_settings import MapSettings
from dspdet3d_ros.mapping.thickness import thickness_of

EXACT = MapSettings(refine=False, voxel_size=0.02)


def accumulated(settings, frames):
    accumulator = Accumulator(settings)
    for one in frames:
        accumulator.insert(one)
    return accumulator


def frames(count=10, **changes):
    return [frame(pose, stamp_s=1 + k / 10, **changes) for k, pose in enumerate(orbit(count))]


@pytest.mark.parametrize("refine", [False, True])
def test_the_cloud_lies_on_the_surfaces_with_their_colours(refine):
    cloud = accumulated(replace(EXACT, refine=refine), frames()).cloud()
    distance = surface_distance(cloud.xyz)
    assert len(cloud.xyz) > 2000
    assert np.quantile(distance, 0.95) < 0.004
    assert cloud.xyz.dtype == np.float32
    assert cloud.rgb.dtype == np.uint8
    lid = np.abs(cloud.xyz - [0, 0, 0.25]).max(1) < 0.09
    np.testing.assert_allclose(cloud.rgb[lid & (np.abs(cloud.xyz[:, 2] - 0.25) < 0.005)].mean(0), BOX, atol=3)
    floor = (np.abs(cloud.xyz[:, 2]) < 0.005) & (cloud.xyz[:, 0] > 0.35) & (cloud.xyz[:, 1] < 0.5)
    np.testing.assert_allclose(cloud.rgb[floor].mean(0), FLOOR, atol=3)


def test_far_from_the_origin_nothing_is_lost():
    shift = np.array([600_000.0, -4_000_000.0, 50.0])
    moved = []
    for one in frames():
        pose = one.pose.copy()
        pose[:3, 3] += shift
        moved.append(replace(one, pose=pose))
    far = accumulated(EXACT, moved).cloud().xyz
    assert far.dtype == np.float64
    assert np.quantile(surface_distance(far - shift), 0.95) < 0.004


def test_voxels_with_few_observations_are_left_out():
    accumulator = accumulated(EXACT, frames()[:2])
    assert len(accumulator.cloud().xyz) == 0
    assert len(accumulator.cloud(min_observations=2).xyz) < len(accumulator.cloud(min_observations=1).xyz)


def test_windows_of_frames_seconds_and_metres():
    away = [frame(looking_at((2.0 + k / 10, -1, 1), (2.5 + k / 10, 0.3, 0)), stamp_s=10 + k) for k in range(4)]
    free = replace(EXACT, max_jump_m=0.0, max_jump_deg=0.0, min_observations=1)
    everything = len(accumulated(free, frames() + away).cloud().xyz)
    for settings in (
        replace(free, window_frames=3),
        replace(free, window_s=3.5),
        replace(free, window_m=1.8),
    ):
        cloud = accumulated(settings, frames() + away).cloud().xyz
        assert 500 < len(cloud) < 0.7 * everything
        # Around the box, which only earlier frames saw.
        assert not (np.abs(cloud - [0, 0, 0.25]).max(1) < 0.1).any()


def test_objects_that_are_taken_away_disappear():
    accumulator = accumulated(EXACT, frames(8))
    box = [0, 0, 0.25]
    assert (np.abs(accumulator.cloud().xyz - box).max(1) < 0.1).sum() > 20
    for k, pose in enumerate(orbit(8)):
        accumulator.insert(frame(pose, stamp_s=10 + k / 10, box=False))
    left = accumulator.cloud().xyz
    assert (np.abs(left - box).max(1) < 0.1).sum() == 0
    assert surface_distance(left[np.abs(left[:, 2]) < 0.01]).max() < 0.01


def jumped(good):
    pose = good.pose.copy()
    pose[:3, 3] += 2
    return replace(good, pose=pose)


BAD = {
    "depth of another size": ("sizes", lambda good: replace(good, depth=good.depth[1:])),
    "colour of another size": ("sizes", lambda good: replace(good, colour=good.colour[:, 1:])),
    "zero camera": ("camera", lambda good: replace(good, camera=replace(good.camera, fx=0.0))),
    "zero colour camera": ("camera", lambda good: replace(good, colour_camera=replace(good.camera, fy=0.0))),
    "millimetres": ("depth", lambda good: replace(good, depth=good.depth * 1000)),
    "all zero": ("depth", lambda good: replace(good, depth=good.depth * 0)),
    "all NaN": ("depth", lambda good: replace(good, depth=good.depth * np.nan)),
    "one channel": ("colour", lambda good: replace(good, colour=good.colour[..., :1])),
    "older": ("stamp", lambda good: replace(good, stamp_s=1.5)),
    "same stamp": ("stamp", lambda good: replace(good, stamp_s=1.9)),
    "NaN pose": ("pose", lambda good: replace(good, pose=good.pose * np.nan)),
    "scaled pose": ("pose", lambda good: replace(good, pose=good.pose @ np.diag([2.0, 2, 2, 1]))),
    "jump": ("pose", jumped),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("refine", [False, True])
def test_a_refused_frame_is_counted_and_leaves_the_map_as_it_was(name, refine):
    kind, spoil = BAD[name]
    accumulator, other = (accumulated(replace(EXACT, refine=refine), frames()) for _ in range(2))
    before, size = accumulator.cloud(), len(accumulator)
    with pytest.raises(FrameRefused) as refused:
        accumulator.insert(spoil(frame(orbit(10)[-1], stamp_s=2.0)))
    assert refused.value.kind == kind
    assert dict(accumulator.refused) == {kind: 1}
    assert accumulator.used == 10
    assert len(accumulator) == size
    np.testing.assert_array_equal(accumulator.cloud().xyz, before.xyz)
    # What follows is as if the frame had not come.
    for one in (accumulator, other):
        one.insert(frame(orbit(10)[-1], stamp_s=2.1))
    assert accumulator.used == 11
    np.testing.assert_array_equal(accumulator.cloud().xyz, other.cloud().xyz)
    np.testing.assert_array_equal(accumulator.cloud().rgb, other.cloud().rgb)


def test_a_pose_that_jumps_is_refused_until_the_next_frames_agree_with_it():
    accumulator = accumulated(EXACT, frames())
    cloud = accumulator.cloud().xyz
    jumped = orbit(10)[-1].copy()
    jumped[:3, 3] += [6, 0, 0]
    with pytest.raises(FrameRefused, match=r"jumped by 6 m"):
        accumulator.insert(frame(orbit(10)[-1], stamp_s=2.0, pose=jumped))
    # One that goes on from the map is used, and the count of those that disagree starts again.
    accumulator.insert(frame(orbit(10)[-1], stamp_s=2.1))
    for k in range(RESTART_FRAMES - 1):
        with pytest.raises(FrameRefused):
            accumulator.insert(frame(orbit(10)[-1], stamp_s=2.2 + k / 100, pose=jumped))
    assert len(accumulator.cloud().xyz) >= len(cloud)
    last = accumulator.insert(frame(orbit(10)[-1], stamp_s=2.5, pose=jumped))
    assert "jumped to another place" in last.restarted
    # The map starts again: nothing of the old place is in it.
    assert accumulator.cloud(min_observations=1).xyz[:, 0].min() > 1
    assert accumulator.refused["pose"] == RESTART_FRAMES


def test_a_turn_on_the_spot_that_is_too_large_is_refused():
    accumulator = accumulated(EXACT, frames())
    eye = orbit(10)[-1][:3, 3]
    with pytest.raises(FrameRefused, match=r"turned by"):
        accumulator.insert(frame(orbit(10)[-1], stamp_s=2.0, pose=looking_at(eye, 2 * eye)))


def test_a_recording_that_starts_again_empties_the_map():
    accumulator = accumulated(EXACT, [replace(one, stamp_s=one.stamp_s + 100) for one in frames()])
    again = [frame(pose, stamp_s=1 + k / 10) for k, pose in enumerate(orbit(10)[:RESTART_FRAMES])]
    for one in again[:-1]:
        with pytest.raises(FrameRefused, match="stamp: "):
            accumulator.insert(one)
    done = accumulator.insert(again[-1])
    assert "frames in a row went back by" in done.restarted
    assert len(accumulator) == done.new_voxels


def test_one_wrong_stamp_does_not_empty_the_map():
    accumulator = accumulated(EXACT, [replace(one, stamp_s=one.stamp_s + 100) for one in frames()])
    voxels = len(accumulator)
    for k in range(2 * RESTART_FRAMES):
        with pytest.raises(FrameRefused, match="ms older than that of an earlier frame"):
            accumulator.insert(frame(orbit(10)[0], stamp_s=5.0 + k / 10))
        done = accumulator.insert(frame(orbit(10)[-1], stamp_s=103 + k / 10))
        assert not done.restarted
    assert len(accumulator) >= voxels


def drifted(count=16, step_m=0.0015, step_deg=0.06):
    """Frames whose given poses drift away from the true ones."""
    result = []
    for k, pose in enumerate(orbit(count)):
        error = np.eye(4)
        angle = np.radians(step_deg * k)
        error[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        error[:3, 3] = step_m * k * np.array([0.6, 0.6, 0.5])
        result.append(replace(frame(pose, stamp_s=1 + k / 10), pose=error @ pose))
    return result


def test_drift_is_corrected_within_the_bounds():
    plain = accumulated(replace(EXACT, refine=False, voxel_size=0.01), drifted())
    refined = accumulated(replace(EXACT, refine=True, voxel_size=0.01), drifted())
    distance = [np.quantile(surface_distance(one.cloud(1).xyz), 0.9) for one in (plain, refined)]
    assert distance[0] > 0.008
    assert distance[1] < 0.5 * distance[0]
    assert thickness_of(refined.cloud(1).xyz).median_m < thickness_of(plain.cloud(1).xyz).median_m

    bounded = Accumulator(replace(EXACT, refine=True, voxel_size=0.01, max_correction_m=0.004, max_correction_deg=0.2))
    for one in drifted():
        done = bounded.insert(one)
        assert done.correction_m <= 0.004 + 1e-9
        assert done.correction_deg <= 0.2 + 1e-6


def test_a_plane_alone_does_not_let_the_camera_slide_along_it():
    accumulator = Accumulator(replace(EXACT, refine=True))
    for k in range(12):
        pose = looking_at((0.05 * k, -1.0, 1.0), (0.05 * k, -0.4, 0.0))
        done = accumulator.insert(frame(pose, stamp_s=1 + k / 10, box=False))
        assert done.correction_m < 0.002
        assert done.correction_deg < 0.1


def test_settings_may_change_while_frames_come():
    accumulator = accumulated(EXACT, frames())
    accumulator.settings = replace(EXACT, min_observations=1000)
    assert len(accumulator.cloud().xyz) == 0
    assert len(accumulator) > 0
    accumulator.settings = replace(EXACT, voxel_size=0.05)
    assert len(accumulator) == 0


def test_reset_forgets_map_and_counts():
    accumulator = accumulated(EXACT, frames())
    with pytest.raises(FrameRefused):
        accumulator.insert(frame(orbit(1)[0], stamp_s=1.5))
    accumulator.reset()
    assert len(accumulator) == 0
    assert accumulator.used == 0
    assert not accumulator.refused
    assert accumulator.cloud().xyz.shape == (0, 3)


def test_without_colour_the_cloud_has_none():
    assert accumulated(EXACT, frames(4, colour=None)).cloud().rgb is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"voxel_size": 0.0}, "voxel_size: expected a number in 0.002..0.2"),
        ({"min_observations": 0}, "min_observations"),
        ({"decimation": 1.5}, "decimation: expected an integer"),
        ({"min_distance": 4.0}, "min_distance: expected less than max_distance"),
    ],
)
def test_settings_are_checked(changes, says):
    with pytest.raises(InputError, match=says):
        MapSettings(**changes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_cpu():
    clouds = []
    for device in ("cpu", "cuda"):
        accumulator = Accumulator(replace(EXACT, refine=True), device)
        for one in frames():
            accumulator.insert(one)
        clouds.append(accumulator.cloud().xyz)
    assert abs(len(clouds[0]) - len(clouds[1])) < 0.01 * len(clouds[0])
    assert np.quantile(surface_distance(clouds[1]), 0.95) < 0.004
